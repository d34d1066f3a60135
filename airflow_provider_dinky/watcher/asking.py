# SPDX-License-Identifier: Apache-2.0
"""A question beside the polling of a connection: it shares session, sign-in and circuit breaker with all triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.lending import Steps
from airflow_provider_dinky.watcher.registry import watcher_of

T = TypeVar("T")


async def ask(conn_id: str, read_config: ReadConfig, steps: Steps[T]) -> T:
    """Send the calls that a generator yields over the connection's shared client, and return what it returns.

    If nothing polls over the connection, a watcher is started for the question and ends after it. Nothing is waited
    out: trouble is told at once, and while Dinky is known to be gone nothing is sent. Whoever wants a limit wraps it in
    ``asyncio.wait_for``.

    :param conn_id: the Airflow connection.
    :param read_config: reads it, if that has not been done yet; called in a thread.
    :param steps: makes the generator, given the connection's settings. It sees the errors of its calls first.
    :return: what the generator returns.
    :raises DinkyError: what the generator did not catch, or that the connection cannot be used.
    """
    watcher = watcher_of(conn_id, read_config)
    with watcher.visited():
        return await watcher.lender.ask(steps)


@contextmanager
def staying(conn_id: str, read_config: ReadConfig) -> Iterator[None]:
    """Keep the connection's session and sign-in while the block lasts, for questions one after the other.

    Without that, each question that is asked where nothing polls signs in anew, which signs out whoever else is signed
    in as the same user.
    """
    with watcher_of(conn_id, read_config).visited():
        yield
