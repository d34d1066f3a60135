# SPDX-License-Identifier: Apache-2.0
"""The newest runs of tasks, as the poll loop sees them, collected for a stream of boards."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from airflow_provider_dinky.client.models import JobInstance, JobState
from airflow_provider_dinky.job import WaitFor, Watch
from airflow_provider_dinky.log_lines import SILENCE_WORTH_A_WORD


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
        self._lines: list[str] = []
        self._answered = now
        self._told_of_silence = False

    def saw(self, dinky_task_id: int, newest: JobInstance | None, now: float) -> None:
        """Dinky has answered."""
        self._answered = now
        if self._told_of_silence:
            self._told_of_silence = False
            self._lines.append("Dinky answers again")
        self._unreadable.pop(dinky_task_id, None)
        self._runs[dinky_task_id] = newest
        self.news.set()

    def cannot_read(self, dinky_task_id: int, why: str) -> None:
        """Dinky does not know the task, or the connection cannot be used."""
        self._runs.pop(dinky_task_id, None)
        self._unreadable[dinky_task_id] = why
        self.news.set()

    def hear_nothing(self, why: str, now: float) -> None:
        """Dinky did not answer: after a while, a word in the log."""
        silent = now - self._answered
        if silent >= SILENCE_WORTH_A_WORD and not self._told_of_silence:
            self._told_of_silence = True
            self._lines.append(f"No answer for {silent:.0f} s, trying on: {why}")
            self.news.set()

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
        self.died = error or asyncio.CancelledError()
        self.news.set()

    def take(self, say: Callable[[str], None]) -> tuple[dict[int, JobInstance | None], dict[int, str]]:
        """The newest runs, and why others could not be read; each only once."""
        self.news.clear()
        lines, self._lines = self._lines, []
        for line in lines:
            say(line)
        runs, self._runs = self._runs, {}
        unreadable, self._unreadable = self._unreadable, {}
        return runs, unreadable


class TaskSubscription:
    """One task whose newest run is watched for as long as somebody wants to know.

    :param poll_interval: seconds between looks.
    :param sightings: is told what is seen.
    """

    __slots__ = ("_newest", "_sightings", "_watch", "dinky_task_id", "place", "poll_interval", "watched")

    job_instance_id = None
    newer_than = 0

    def __init__(self, dinky_task_id: int, poll_interval: float, sightings: Sightings) -> None:
        self.dinky_task_id: int | None = dinky_task_id
        self.poll_interval = poll_interval
        self.place = 0
        self.watched = False
        self._sightings = sightings
        self._newest: int | None = None
        # Only for its rules of what Dinky should look at anew: nothing ends this watch.
        self._watch = Watch(WaitFor.FINISHED, math.inf)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still wants to know."""
        return self.watched

    def observe(self, instance: JobState | None, now: float, *, will_be_refreshed: bool = False) -> bool:
        """Take in the newest run; returns whether Dinky should be made to look at it anew."""
        assert self.dinky_task_id is not None
        if not self.watched:
            return False
        newest = instance if isinstance(instance, JobInstance) else None
        self._newest = newest.id if newest else None
        self._sightings.saw(self.dinky_task_id, newest, now)
        return newest is not None and self._watch.observe(newest.status, now).refresh

    def refreshed(self, instance: JobInstance, now: float) -> None:
        """Take in the run after Dinky has looked anew, unless a newer one has been seen since."""
        if instance.id == self._newest:
            self.observe(instance, now)

    def hear_nothing(self, why: str, now: float) -> None:
        """Dinky did not answer."""
        self._sightings.hear_nothing(why, now)

    def give_up(self, why: str) -> None:
        """It cannot be read at present."""
        if self.watched and self.dinky_task_id is not None:
            self._sightings.cannot_read(self.dinky_task_id, why)

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
        self._sightings.lose_watcher(error)
