# SPDX-License-Identifier: Apache-2.0
"""What a subscriber does: join the watcher of its connection, say the news in its own log, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_dinky.watcher.breaker import backoff
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.registry import watcher_of
from airflow_provider_dinky.watcher.subscription import Subscription, WatcherDied


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
        watcher = watcher_of(conn_id, read_config)
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
