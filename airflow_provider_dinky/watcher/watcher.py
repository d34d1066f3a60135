# SPDX-License-Identifier: Apache-2.0
"""The poll loop that all subscribers of one connection share: how it begins, goes on and ends."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyConnectionError
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.watcher.connection import ConnectionReader, ConnectionUnusable, ReadConfig
from airflow_provider_dinky.watcher.lending import QUESTIONS_ABREAST, Lender
from airflow_provider_dinky.watcher.polling import ABREAST, Poller
from airflow_provider_dinky.watcher.task_subscription import TaskSubscription
from airflow_provider_dinky.watcher.together import until_one_ends
from airflow_provider_dinky.watcher.watched import Watched

log = logging.getLogger(__name__)


class Watcher:
    """Polls while somebody is subscribed or has a question; belongs to the event loop it is made on.

    :param conn_id: the Airflow connection.
    :param read_config: reads it; called in a thread.
    :param on_end: called once when nobody is there any more, or polling broke off.
    """

    def __init__(self, conn_id: str, read_config: ReadConfig, on_end: Callable[[], None]) -> None:
        self.has_ended = False
        self._conn_id = conn_id
        self._reader = ConnectionReader(conn_id, read_config)
        self._on_end = on_end
        self.lender = Lender(conn_id)
        self._subscriptions: set[Watched] = set()
        self._tasks: set[TaskSubscription] = set()
        self._visitors = 0
        self._poller: Poller | None = None
        # In a context of its own: whoever comes first must not find the lines of all the others in its task log.
        nobodys = contextvars.Context()
        create_task = asyncio.get_running_loop().create_task
        self._task: asyncio.Task[None] = nobodys.run(create_task, self._run())
        self._task.add_done_callback(self._ended, context=nobodys)

    def add(self, subscription: Watched) -> None:
        """Watch one job or task more."""
        subscription.watched = True
        self._subscriptions.add(subscription)
        if isinstance(subscription, TaskSubscription):
            self._tasks.add(subscription)
        if self._poller is not None:
            self._poller.join(subscription)

    def remove(self, subscription: Watched) -> None:
        """Watch one job or task less; without any left, polling ends and the session is closed."""
        subscription.watched = False
        self._subscriptions.discard(subscription)
        if isinstance(subscription, TaskSubscription):
            self._tasks.discard(subscription)
        self._end_if_alone()

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Keep it for as long as the block lasts, also if nobody is subscribed."""
        self._visitors += 1
        try:
            yield
        finally:
            self._visitors -= 1
            self._end_if_alone()

    async def _run(self) -> None:
        config = await self._reader.first(self._cannot_begin)
        while True:
            async with AsyncDinkyClient(config, NO_RETRY, connections=ABREAST + QUESTIONS_ABREAST) as client:
                poller = self._poller = Poller(client, self._subscriptions, self._tasks, self._reader.doubt)
                async with self.lender.lends(client, poller.is_held_back):
                    config = await until_one_ends(poller.run(), self._reader.until_other_than(config))

    def _cannot_begin(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        for subscription in list(self._subscriptions):
            subscription.no_answer(why, now)
        self.lender.cannot(DinkyConnectionError(why, sent=False))

    def _end_if_alone(self) -> None:
        if not self._subscriptions and not self._visitors and not self.has_ended:
            self._end()
            self._task.cancel()

    def _end(self) -> None:
        self.has_ended, self._poller = True, None
        self._on_end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.has_ended:
            self._end()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionUnusable):
            log.error("Polling for connection '%s' broke off", self._conn_id, exc_info=error)
        if isinstance(error, ConnectionUnusable):
            self.lender.close(DinkyConfigError(str(error)))
        else:
            why = f"connection '{self._conn_id}': polling broke off: {error!r}"
            self.lender.close(DinkyConnectionError(why, sent=False))
        for subscription in list(self._subscriptions):
            if isinstance(error, ConnectionUnusable):
                subscription.give_up(DinkyConfigError(str(error)), asyncio.get_running_loop().time())
            else:
                subscription.lose_watcher(error)
