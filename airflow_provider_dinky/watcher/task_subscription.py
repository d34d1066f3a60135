# SPDX-License-Identifier: Apache-2.0
"""The newest runs of tasks, as the poll loop sees them, collected for a stream of boards."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from airflow_provider_dinky.client.models import JobInstance, JobState
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.follower import Follower
from airflow_provider_dinky.jobs.gone import UnknownJob
from airflow_provider_dinky.jobs.wait_log import WaitLog


class Sightings:
    """What was seen since somebody asked last.

    :param now: seconds on the clock that the others are told, which is never set back.
    """

    def __init__(self, now: float) -> None:
        self.news = asyncio.Event()
        """Set when there is something to take."""
        self.died: BaseException | None = None
        self._runs: dict[int, JobInstance | None] = {}
        self._unreadable: dict[int, str] = {}
        self._log = WaitLog(now)
        self._answered = now

    def saw(self, dinky_task_id: int, newest: JobInstance | None, now: float) -> None:
        """Dinky has answered."""
        self._answered = now
        self._log.answered(now)
        self._unreadable.pop(dinky_task_id, None)
        self._runs[dinky_task_id] = newest
        self.news.set()

    def cannot_read(self, dinky_task_id: int, why: str) -> None:
        """Dinky does not know the task, or the connection cannot be used."""
        self._runs.pop(dinky_task_id, None)
        self._unreadable[dinky_task_id] = why
        self.news.set()

    def no_answer(self, error: Exception | str, now: float) -> None:
        """Dinky did not answer: after a while, a line in the log."""
        self._log.no_answer(now - self._answered, error, now)
        if self._log.is_due:
            self.news.set()

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
        self.died = error or asyncio.CancelledError()
        self.news.set()

    def take(self, say: Callable[[str], None]) -> tuple[dict[int, JobInstance | None], dict[int, str]]:
        """The newest runs, and why others could not be read; each only once."""
        self.news.clear()
        for line in self._log.take(""):
            say(line)
        runs, self._runs = self._runs, {}
        unreadable, self._unreadable = self._unreadable, {}
        return runs, unreadable


class TaskSubscription:
    """One task whose newest run is watched for as long as somebody wants to know.

    :param poll_interval: seconds between looks.
    :param sightings: is told what is seen.
    """

    __slots__ = ("_newest", "_sightings", "dinky_task_id", "follower", "place", "poll_interval", "watched")

    job_instance_id = None
    job_manager_address = None
    newer_than = 0

    def __init__(self, dinky_task_id: int, poll_interval: float, sightings: Sightings) -> None:
        self.dinky_task_id: int | None = dinky_task_id
        self.poll_interval = poll_interval
        self.place = 0
        self.watched = False
        self._sightings = sightings
        self._newest: int | None = None
        # Only for its rules of what Dinky should be made to look at again: nothing ends this.
        self.follower = Follower(WaitFor.FINISHED, 0.0, unknown_timeout=math.inf, max_outage=math.inf)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still wants to know."""
        return self.watched

    def observe(self, instance: JobState | None, now: float) -> None:
        """Take in the newest run."""
        if not self.watched or self.dinky_task_id is None:
            return
        newest = instance if isinstance(instance, JobInstance) else None
        self._newest = newest.id if newest else None
        self._sightings.saw(self.dinky_task_id, newest, now)
        if newest is not None:
            self.follower.cluster_type = newest.type or self.follower.cluster_type
            self.follower.saw(newest.status, now)
            self.follower.log.drop()

    def refreshed(self, seen: UnknownJob, now: float) -> None:
        """Take in the run after Dinky has looked again, unless a newer one has been seen since."""
        if seen.instance is not None and seen.instance.id == self._newest:
            self.observe(seen.instance, now)
            self.follower.saw(seen.status, now, refreshed=True, gone=seen.is_gone)
            self.follower.log.drop()

    def no_answer(self, error: Exception | str, now: float) -> None:
        """Dinky did not answer."""
        self._sightings.no_answer(error, now)

    def give_up(self, error: Exception | str, now: float) -> None:
        """It cannot be read at present."""
        if self.watched and self.dinky_task_id is not None:
            self._sightings.cannot_read(self.dinky_task_id, str(error))

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
        self._sightings.lose_watcher(error)
