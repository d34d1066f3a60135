# SPDX-License-Identifier: Apache-2.0
"""The one waiting loop of procedures: look, pause, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import TypeVar

from airflow_provider_dinky.client.calls import Sleep, Steps

T = TypeVar("T")


def pauses() -> Iterator[float]:
    """Seconds between two looks: short at first, since most waits are short, then 5."""
    return chain((0.1, 0.25, 0.5, 1.0, 2.0), repeat(5.0))


def wait_until(
    look: Callable[[], Steps[T | None]], until: float, now: Callable[[], float]
) -> Steps[T | None]:
    """Look again and again, until there is something or the time is over; the last look is not before that.

    :param look: makes one look; its result is None while there is nothing yet. Its errors end the waiting.
    :param until: when the time is over, by ``now``.
    :param now: seconds on any clock that does not go back.
    :return: what was found; None if nothing was.
    """
    between = pauses()
    while True:
        is_last = now() >= until
        found = yield from look()
        if found is not None or is_last:
            return found
        yield Sleep(min(next(between), max(0.05, until - now())))
