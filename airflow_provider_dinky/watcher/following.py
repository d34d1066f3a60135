# SPDX-License-Identifier: Apache-2.0
"""What a subscriber does: join the watcher of its connection, say the news in its own log, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.operations.inspect_job import inspect
from airflow_provider_dinky.watcher.breaker import backoff
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.registry import watcher_of
from airflow_provider_dinky.watcher.subscription import Subscription, WatcherDied
from airflow_provider_dinky.watcher.watcher import Watcher


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
                if subscription.wants_inspection:
                    await _inspect(watcher, subscription, loop.time)
        except WatcherDied as died:
            deaths += 1
            subscription.no_answer(f"polling broke off: {died}", loop.time())
            say(f"Polling broke off and begins anew: {died}")
            await asyncio.sleep(backoff(deaths, max(subscription.poll_interval, 1.0)))
        finally:
            watcher.remove(subscription)
    for line in subscription.follower.lines(subscription.name):
        say(line)


async def _inspect(watcher: Watcher, subscription: Subscription, clock: Callable[[], float]) -> None:
    """Find out what no state tells, over the client that polls."""
    follower = subscription.follower
    try:
        await watcher.lender.ask(lambda config: inspect(config, follower, subscription.job, clock))
    except DinkyError as error:
        follower.not_inspected(error, clock())
