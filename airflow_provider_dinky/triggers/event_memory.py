# SPDX-License-Identifier: Apache-2.0
"""What an event trigger remembers, in Airflow's asset state store where there is one (3.3 on)."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_dinky.changes import Memory

LOAD_TRIES = 10
"""Looks at which the store may fail to answer before the trigger goes on without it."""


class EventMemory:
    """The memory of one trigger; another trigger object, in another process, goes on with it.

    :param store: Airflow's, or None: then it is as good as the process.
    :param key: the memory's key in it.
    :param stopped_key: the key under which Airflow's tasks write which run they have stopped.
    """

    def __init__(self, store: Any, key: str, stopped_key: str, log: logging.Logger | Any) -> None:
        self.now: Memory | None = None
        """What is remembered."""
        self._store = store
        self._key = key
        self._stopped_key = stopped_key
        self._log = log
        self._stored: Memory | None = None
        self._tries = 0 if store is not None else LOAD_TRIES
        self._is_loaded = store is None
        self._has_warned = False

    async def load(self) -> bool:
        """Read what an earlier trigger left, once; returns whether that is done, or else it is to be tried again."""
        if self._is_loaded:
            return True
        self._tries += 1
        try:
            self.now = self._stored = Memory.from_json(await self._store.aget(self._key))
        except ValueError as error:
            self._do_without(error)
        except Exception as error:
            if self._tries < LOAD_TRIES:
                self._log.info("The asset's state cannot be read, trying on: %r", error)
                return False
            self._do_without(error)
        self._is_loaded = True
        return True

    async def keep(self, memory: Memory | None) -> None:
        """Write down what another trigger is to go on with, if that is another thing than before."""
        if self._store is None or memory is None or memory == self._stored:
            return
        try:
            await self._store.aset(self._key, memory.to_json())
        except Exception as error:
            if not self._has_warned:
                self._has_warned = True
                self._log.warning(
                    "The asset's state cannot be written, trying on; after a restart an event may come twice: %r",
                    error,
                )
        else:
            self._stored, self._has_warned = memory, False

    async def stopped_by_airflow(self) -> int | None:
        """The run that one of Airflow's own tasks has stopped, as far as it was told."""
        if self._store is None:
            return None
        try:
            stopped = await self._store.aget(self._stopped_key)
        except Exception as error:
            self._log.info("The asset's state cannot be read: %r", error)
            return None
        return stopped if isinstance(stopped, int) else None

    def _do_without(self, error: Exception) -> None:
        self._store = None
        self._log.warning(
            "Nothing is kept over a restart of the triggerer, so an event may come twice then; it takes an asset that "
            "shares its trigger with no other one: %s",
            error,
        )
