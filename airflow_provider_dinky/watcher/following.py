# SPDX-License-Identifier: Apache-2.0
"""What a subscriber does: join the watcher of its connection, say the news in its own log, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from airflow_provider_dinky.watcher.breaker import backoff
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.subscription import Subscription, WatcherDied
from airflow_provider_dinky.watcher.watcher import Watcher

_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Watcher]] = WeakKeyDictionary()


async def follow(
    conn_id: str, subscription: Subscription, read_config: ReadConfig, say: Callable[[str], None]
) -> None:
    """Wait until the subscription has ended: its job is where it was awaited, or cannot be read.

    :param conn_id: the Airflow connection; all subscribers of one share a poll loop, a session and a sign-in.
    :param read_config: reads the connection; called in a thread.
    :param say: where changes of state and trouble go, a line each.
    """
    loop = asyncio.get_running_loop()
    deaths = 0
    while not subscription.has_ended:
        watcher = _watcher(loop, conn_id, read_config)
        watcher.add(subscription)
        try:
            while not subscription.has_ended:
                await subscription.until_news(say)
        except WatcherDied as died:
            deaths += 1
            subscription.hear_nothing(f"polling broke off: {died}", loop.time())
            say(f"Polling broke off and begins anew: {died}")
            await asyncio.sleep(backoff(deaths, max(subscription.poll_interval, 1.0)))
        finally:
            watcher.remove(subscription)


def _watcher(loop: asyncio.AbstractEventLoop, conn_id: str, read_config: ReadConfig) -> Watcher:
    watchers = _watchers.setdefault(loop, {})
    watcher = watchers.get(conn_id)
    if watcher is None or watcher.has_ended:
        watcher = watchers[conn_id] = Watcher(conn_id, read_config, on_end=lambda: _forget(watchers, conn_id))
    return watcher


def _forget(watchers: dict[str, Watcher], conn_id: str) -> None:
    watcher = watchers.get(conn_id)
    if watcher is not None and watcher.has_ended:
        del watchers[conn_id]
