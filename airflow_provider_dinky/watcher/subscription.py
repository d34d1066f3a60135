# SPDX-License-Identifier: Apache-2.0
"""A job that somebody waits for, and what its subscriber is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_dinky.client.models import JobInstance, JobState
from airflow_provider_dinky.job import ENDED, MAX_OUTAGE, Watch
from airflow_provider_dinky.log_lines import (
    ANSWERS_AGAIN,
    HEARTBEAT,
    SILENCE_WORTH_A_WORD,
    not_there_line,
    silence_line,
    state_line,
    unchanged_line,
)


class WatcherDied(Exception):
    """The poll loop ended although somebody still waits; the subscriber starts another one."""


class Subscription:
    """One job, until it is where it is awaited or cannot be read.

    :param watch: the rules, and what has been seen so far.
    :param job_instance_id: Dinky's id of the run; None for the newest run of ``dinky_task_id``.
    :param dinky_task_id: the task, if the run is not known yet.
    :param newer_than: the newest run of the task that is not meant.
    :param poll_interval: seconds between looks.
    :param max_outage: seconds without any answer after which the job counts as unreadable.
    :param now: seconds on the clock that :meth:`observe` is told, which is never set back.
    """

    __slots__ = (
        "_died",
        "_news",
        "_said",
        "_told_of_silence",
        "_waiter",
        "answered",
        "dinky_task_id",
        "error",
        "job_id",
        "job_instance_id",
        "max_outage",
        "newer_than",
        "place",
        "poll_interval",
        "unreadable",
        "watch",
        "watched",
    )

    def __init__(
        self,
        watch: Watch,
        job_instance_id: int | None,
        *,
        dinky_task_id: int | None = None,
        newer_than: int = 0,
        poll_interval: float = 10.0,
        max_outage: float = MAX_OUTAGE,
        now: float,
    ) -> None:
        self.watch = watch
        self.job_instance_id = job_instance_id
        self.dinky_task_id = dinky_task_id
        self.newer_than = newer_than
        self.poll_interval = poll_interval
        self.max_outage = max_outage
        self.answered = now
        self.watched = False
        self.place = 0
        self.job_id: str | None = None
        self.error: str | None = None
        self.unreadable: str | None = None
        self._told_of_silence = False
        self._said = now
        self._news: list[str] = []
        self._died: WatcherDied | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.unreadable is not None or self.watch.verdict in ENDED

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return self.watched and not self.has_ended

    @property
    def name(self) -> str:
        """What the log calls it, in the words of the operators."""
        of = f" of Dinky task {self.dinky_task_id}" if self.dinky_task_id is not None else ""
        return f"job instance {self.job_instance_id}{of}"

    def observe(self, instance: JobState | None, now: float, *, will_be_refreshed: bool = False) -> bool:
        """Take in an answer of Dinky's.

        :param instance: the run, or None if there is none yet.
        :param will_be_refreshed: Dinky is about to be made to look anew, so a lost job is not given up before that.
        :return: whether Dinky should be made to look at the job anew.
        """
        self.answered = now
        refresh = False
        if self._told_of_silence:
            self._told_of_silence = False
            self._add(ANSWERS_AGAIN, now)
        if instance is not None:
            # Not the instance itself: thousands of them would be kept.
            self.job_instance_id, self.job_id = instance.id, instance.job_id
            verdict = self.watch.observe(instance.status, now, will_be_refreshed=will_be_refreshed)
            self.error = instance.error or (None if verdict.changed else self.error)
            refresh = verdict.refresh
            if verdict.changed and not self.has_ended:
                self._add(state_line(self.name, instance.status), now)
        if now - self._said >= HEARTBEAT and not self.has_ended:
            self._add(self._unchanged(now), now)
        self._wake()
        return refresh

    def refreshed(self, instance: JobInstance, now: float) -> None:
        """Take in what Dinky says after it was made to look anew."""
        self.observe(instance, now)

    def hear_nothing(self, why: str, now: float) -> None:
        """Dinky did not answer: after a while a word in the log, after ``max_outage`` the end."""
        silent = now - self.answered
        if silent >= self.max_outage:
            self.give_up(f"no answer for {silent:.0f} s: {why}")
        elif silent >= SILENCE_WORTH_A_WORD and not self._told_of_silence:
            self._told_of_silence = True
            self._add(silence_line(silent, why), now)
            self._wake()

    def give_up(self, why: str) -> None:
        """The job cannot be read; that is the end."""
        if not self.has_ended:
            self.unreadable = why
            self._wake()

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
        self._died = WatcherDied(repr(error))
        self._wake()

    async def until_news(self, say: Callable[[str], None]) -> None:
        """Wait for news and say them, in the context of whoever waits.

        :raises WatcherDied: nobody polls any more.
        """
        if not self._is_due():
            # No time-out and no task: thousands wait like this.
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        lines, self._news = self._news, []
        for line in lines:
            say(line)
        died, self._died = self._died, None
        if died is not None and not self.has_ended:
            raise died

    def _add(self, line: str, now: float) -> None:
        self._news.append(line)
        self._said = now

    def _is_due(self) -> bool:
        return bool(self._news) or self._died is not None or self.has_ended

    def _wake(self) -> None:
        if self._is_due() and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _unchanged(self, now: float) -> str:
        if self.watch.status is None:
            newer = f"a job of Dinky task {self.dinky_task_id} newer than instance {self.newer_than}"
            return not_there_line(newer)
        return unchanged_line(self.name, self.watch.status, now - self.watch.since)
