# SPDX-License-Identifier: Apache-2.0
"""A stream of boards: the newest runs of all the tasks that somebody watches over one connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_dinky.client.models import JobInstance
from airflow_provider_dinky.jobs.wait_log import HEARTBEAT
from airflow_provider_dinky.watcher.breaker import backoff
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.registry import watcher_of
from airflow_provider_dinky.watcher.schedule import GATHER
from airflow_provider_dinky.watcher.task_subscription import Sightings, TaskSubscription
from airflow_provider_dinky.watcher.watcher import Watcher

BOARD_GAP = 1.0
"""Seconds from one board to the next, at least, where no interval is shorter than five of them."""
UNUSABLE_PAUSE = 60.0
"""Seconds after which a connection that cannot be used is tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Board:
    """What was seen of the tasks that were looked at since the board before.

    :param runs: the newest run of each; None for a task that never ran.
    :param unreadable: why others could not be looked at, though Dinky or Airflow has answered.
    :param time: seconds since 1970.
    """

    runs: Mapping[int, JobInstance | None]
    unreadable: Mapping[int, str]
    time: float


class WatchedTasks:
    """Who watches which task, and how often; belongs to one event loop."""

    def __init__(self) -> None:
        self._watching: dict[object, tuple[int, float]] = {}
        self._to_tell: set[asyncio.Event] = set()

    def enter(self, who: object, dinky_task_id: int, poll_interval: float) -> None:
        """Somebody watches a task from now on, every so many seconds."""
        self._watching[who] = (dinky_task_id, poll_interval)
        self._changed()

    def leave(self, who: object) -> None:
        """They don't watch any more; nothing happens if they never did."""
        if self._watching.pop(who, None) is not None:
            self._changed()

    def intervals(self) -> dict[int, float]:
        """The watched tasks, each with the shortest interval that somebody wants."""
        shortest: dict[int, float] = {}
        for task, interval in self._watching.values():
            shortest[task] = min(interval, shortest.get(task, interval))
        return shortest

    def tell(self, changed: asyncio.Event) -> None:
        """Set an event at each change."""
        self._to_tell.add(changed)

    def tell_no_more(self, changed: asyncio.Event) -> None:
        """Don't set it any more."""
        self._to_tell.discard(changed)

    def _changed(self) -> None:
        for event in self._to_tell:
            event.set()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, WatchedTasks]] = WeakKeyDictionary()


def watched_tasks(conn_id: str) -> WatchedTasks:
    """What is watched over a connection on the running event loop by all who share one stream of boards."""
    return _shared.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, WatchedTasks())


async def board(conn_id: str, read_config: ReadConfig, watched: WatchedTasks) -> AsyncGenerator[Board, None]:
    """Look at the watched tasks, each once an interval, and yield what was seen; for ever.

    It never raises for what it meets: while Dinky does not answer no board comes, and after a minute the log says so.
    All streams of a connection share its poll loop, its session and its sign-in with each other and with the triggers
    that follow jobs. Close it (``aclosing``) to leave.

    :param conn_id: the Airflow connection.
    :param read_config: reads it; called in a thread.
    :param watched: the tasks, as they are at any time.
    """
    reader = _Reader(conn_id, read_config, watched)
    try:
        while True:
            await reader.until_news()
            seen = reader.take()
            if seen is not None:
                yield seen
    finally:
        reader.leave()


class _Reader:
    """Keeps a subscription for each watched task, whatever becomes of the watcher."""

    def __init__(self, conn_id: str, read_config: ReadConfig, watched: WatchedTasks) -> None:
        self._conn_id = conn_id
        self._read_config = read_config
        self._watched = watched
        self._loop = asyncio.get_running_loop()
        self._seen = Sightings(self._loop.time())
        self._watcher: Watcher | None = None
        self._subscriptions: dict[int, TaskSubscription] = {}
        self._next = self._said = self._loop.time()
        self._deaths = 0
        watched.tell(self._seen.news)

    async def until_news(self) -> None:
        """Wait until there is something to take, but not only for the first of many that come together."""
        if self._watcher is not None and self._watcher.has_ended and self._subscriptions:
            await asyncio.sleep(self._pause())
        self._join_and_leave()
        await self._seen.news.wait()
        await asyncio.sleep(max(GATHER, self._next - self._loop.time()))

    def take(self) -> Board | None:
        """What was seen; None for nothing."""
        runs, unreadable = self._seen.take(self._say)
        if not runs and not unreadable:
            return None
        now = self._loop.time()
        self._next = now + min(BOARD_GAP, self._shortest() / 5)
        if runs:
            self._deaths = 0
            if now - self._said >= HEARTBEAT:
                self._say(f"{len(self._subscriptions)} Dinky tasks are watched")
        return Board(runs, unreadable, time.time())

    def leave(self) -> None:
        """Watch nothing any more."""
        self._watched.tell_no_more(self._seen.news)
        for subscription in self._subscriptions.values():
            if self._watcher is not None:
                self._watcher.remove(subscription)
        self._subscriptions = {}

    def _join_and_leave(self) -> None:
        wanted = self._watched.intervals()
        if self._watcher is None or self._watcher.has_ended:
            self._subscriptions = {}
            if not wanted:
                return
            self._watcher = watcher_of(self._conn_id, self._read_config)
        before, now = self._subscriptions, {}
        for task, interval in wanted.items():
            known = before.get(task)
            if known is not None and known.poll_interval == interval:
                now[task] = known
            else:
                now[task] = TaskSubscription(task, interval, self._seen)
                self._watcher.add(now[task])
        self._subscriptions = now
        # After the newcomers, or the watcher would end when the last of the old ones leaves.
        for task, subscription in before.items():
            if now.get(task) is not subscription:
                self._watcher.remove(subscription)

    def _pause(self) -> float:
        died, self._seen.died = self._seen.died, None
        if died is None:
            return UNUSABLE_PAUSE
        self._deaths += 1
        self._say(f"Polling broke off and begins anew: {died!r}")
        return backoff(self._deaths, max(self._shortest(), 1.0))

    def _shortest(self) -> float:
        return min((task.poll_interval for task in self._subscriptions.values()), default=BOARD_GAP)

    def _say(self, line: str) -> None:
        self._said = self._loop.time()
        log.info("Connection '%s': %s", self._conn_id, line)
