# SPDX-License-Identifier: Apache-2.0
"""Reads the Airflow connection for a poll loop: never on the event loop, and again now and then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from asgiref.sync import sync_to_async

from airflow_provider_dinky._compat import AirflowNotFoundException
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.watcher.breaker import backoff

READ_EVERY = 600.0
"""Seconds after which the connection is read again, as somebody may have changed it."""
READ_GAP = 60.0
"""Seconds at least between two reads, however bad things look."""
SLOWEST_RETRY = 10.0
"""Seconds at most between two tries of reading it for the first time."""

ReadConfig = Callable[[], DinkyConfig]
log = logging.getLogger(__name__)


class ConnectionUnusable(Exception):
    """There is no such connection, or it holds a value that cannot be used; trying again would not help."""


class ConnectionReader:
    """Reads one connection.

    :param read_config: does it; blocking, called in a thread.
    """

    def __init__(self, conn_id: str, read_config: ReadConfig) -> None:
        self._conn_id = conn_id
        self._read_config = read_config
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Dinky has not answered repeatedly: read it again soon, the address may be another one now."""
        self._doubted.set()

    async def first(self, cannot: Callable[[str], None]) -> DinkyConfig:
        """Read it, trying on while whatever keeps connections does not answer.

        :param cannot: is told what went wrong at each try.
        :raises ConnectionUnusable: the connection is missing or bad.
        """
        failures = 0
        while True:
            try:
                return await self._read()
            except (DinkyError, AirflowNotFoundException) as error:
                raise ConnectionUnusable(str(error)) from error
            except Exception as error:
                failures += 1
                log.warning("Connection '%s' cannot be read, trying on: %r", self._conn_id, error)
                cannot(f"connection '{self._conn_id}' cannot be read: {error}")
            await asyncio.sleep(backoff(failures, SLOWEST_RETRY))

    async def until_other_than(self, config: DinkyConfig) -> DinkyConfig:
        """Wait until the connection leads elsewhere; one that cannot be read any more stays as it was."""
        while True:
            await asyncio.sleep(READ_GAP)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._doubted.wait(), max(READ_EVERY - READ_GAP, 0))
            self._doubted.clear()
            try:
                latest = await self._read()
            except Exception as error:
                log.warning("Connection '%s' cannot be read again, it stays: %r", self._conn_id, error)
                continue
            if latest != config:
                log.info("Connection '%s' has changed: %s now", self._conn_id, latest.base_url)
                return latest

    async def _read(self) -> DinkyConfig:
        return await sync_to_async(self._read_config)()
