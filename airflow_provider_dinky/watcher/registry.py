# SPDX-License-Identifier: Apache-2.0
"""Which watcher serves a connection: one for each event loop and connection, for as long as somebody is there."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.watcher import Watcher

_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Watcher]] = WeakKeyDictionary()


def watcher_of(conn_id: str, read_config: ReadConfig) -> Watcher:
    """The watcher of a connection on the running event loop; a new one if there is none, or if it has ended."""
    watchers = _watchers.setdefault(asyncio.get_running_loop(), {})
    watcher = watchers.get(conn_id)
    if watcher is None or watcher.has_ended:
        watcher = watchers[conn_id] = Watcher(conn_id, read_config, on_end=lambda: _forget(watchers, conn_id))
    return watcher


def _forget(watchers: dict[str, Watcher], conn_id: str) -> None:
    watcher = watchers.get(conn_id)
    if watcher is not None and watcher.has_ended:
        del watchers[conn_id]
