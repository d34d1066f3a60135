# SPDX-License-Identifier: Apache-2.0
"""The poll loop that all subscribers of one connection share: how it begins, goes on and ends."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable

from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.watcher.connection import ConnectionReader, ConnectionUnusable, ReadConfig
from airflow_provider_dinky.watcher.polling import ABREAST, Poller
from airflow_provider_dinky.watcher.subscription import Subscription
from airflow_provider_dinky.watcher.together import until_one_ends

log = logging.getLogger(__name__)


class Watcher:
    """Polls while somebody is subscribed; belongs to the event loop it is made on.

    :param conn_id: the Airflow connection.
    :param read_config: reads it; called in a thread.
    :param on_end: called once when nobody is subscribed any more, or polling broke off.
    """

    def __init__(self, conn_id: str, read_config: ReadConfig, on_end: Callable[[], None]) -> None:
        self.has_ended = False
        self._conn_id = conn_id
        self._reader = ConnectionReader(conn_id, read_config)
        self._on_end = on_end
        self._subscriptions: set[Subscription] = set()
        self._poller: Poller | None = None
        # In a context of its own: whoever comes first must not find the lines of all the others in its task log.
        nobodys = contextvars.Context()
        create_task = asyncio.get_running_loop().create_task
        self._task: asyncio.Task[None] = nobodys.run(create_task, self._run())
        self._task.add_done_callback(self._ended, context=nobodys)

    def add(self, subscription: Subscription) -> None:
        """Watch one job more."""
        subscription.watched = True
        self._subscriptions.add(subscription)
        if self._poller is not None:
            self._poller.join(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Watch one job less; without any left, polling ends and the session is closed."""
        subscription.watched = False
        self._subscriptions.discard(subscription)
        if not self._subscriptions and not self.has_ended:
            self._end()
            self._task.cancel()

    async def _run(self) -> None:
        config = await self._reader.first(self._cannot_begin)
        while True:
            async with AsyncDinkyClient(config, NO_RETRY, connections=ABREAST) as client:
                self._poller = Poller(client, self._subscriptions, self._reader.doubt)
                config = await until_one_ends(self._poller.run(), self._reader.until_other_than(config))

    def _cannot_begin(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        for subscription in list(self._subscriptions):
            subscription.hear_nothing(why, now)

    def _end(self) -> None:
        self.has_ended, self._poller = True, None
        self._on_end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.has_ended:
            self._end()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionUnusable):
            log.error("Polling for connection '%s' broke off", self._conn_id, exc_info=error)
        for subscription in list(self._subscriptions):
            if isinstance(error, ConnectionUnusable):
                subscription.give_up(str(error))
            else:
                subscription.lose_watcher(error)
