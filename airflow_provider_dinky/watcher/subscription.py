# SPDX-License-Identifier: Apache-2.0
"""A job that somebody waits for, and what its subscriber is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.jobs.next_step import INSPECTIONS

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobState
    from airflow_provider_dinky.jobs.follower import Follower
    from airflow_provider_dinky.jobs.gone import UnknownJob


class WatcherDied(Exception):
    """The poll loop ended although somebody still waits; the subscriber starts another one."""


class Subscription:
    """One job, until it is where it is awaited or cannot be read.

    :param follower: the rules, and what has been seen so far; its clock is that of the event loop.
    :param job_instance_id: Dinky's id of the run; None for the newest run of ``dinky_task_id``.
    :param dinky_task_id: the task, if the run is not known yet.
    :param newer_than: the newest run of the task that is not meant.
    :param job_id: Flink's id of the job, and ``job_manager_address`` where it runs, if that is known.
    :param poll_interval: seconds between looks.
    """

    __slots__ = (
        "_died",
        "_waiter",
        "dinky_task_id",
        "follower",
        "job_id",
        "job_instance_id",
        "job_manager_address",
        "newer_than",
        "place",
        "poll_interval",
        "watched",
    )

    def __init__(
        self,
        follower: Follower,
        job_instance_id: int | None,
        *,
        dinky_task_id: int | None = None,
        newer_than: int = 0,
        job_id: str | None = None,
        job_manager_address: str | None = None,
        poll_interval: float = 10.0,
    ) -> None:
        self.follower = follower
        self.job_instance_id = job_instance_id
        self.dinky_task_id = dinky_task_id
        self.newer_than = newer_than
        self.job_id = job_id
        self.job_manager_address = job_manager_address
        self.poll_interval = poll_interval
        self.watched = False
        self.place = 0
        self._died: WatcherDied | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.follower.has_ended

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return self.watched and not self.follower.has_ended

    @property
    def wants_inspection(self) -> bool:
        """Whether its subscriber is to find out what no state tells."""
        return self.follower.next in INSPECTIONS

    @property
    def job(self) -> FollowedJob:
        """The job, which is there."""
        return FollowedJob(
            self.dinky_task_id, self.job_instance_id or 0, self.job_id, self.job_manager_address
        )

    @property
    def name(self) -> str:
        """What the log calls it, in the words of the operators."""
        if self.job_instance_id is None:
            return f"a job of Dinky task {self.dinky_task_id} newer than instance {self.newer_than}"
        return str(self.job)

    def observe(self, instance: JobState | None, now: float) -> None:
        """Take in an answer of Dinky's.

        :param instance: the run, or None if there is none yet.
        """
        if instance is None:
            self.follower.saw_none(now)
        else:
            # Not the instance itself: thousands of them would be kept.
            self.job_instance_id, self.job_id = instance.id, instance.job_id or self.job_id
            self.follower.cluster_type = self.follower.cluster_type or instance.type
            self.follower.saw(instance.status, now, error=instance.error)
        self._wake()

    def refreshed(self, seen: UnknownJob, now: float) -> None:
        """Take in what Dinky says after it was made to look again."""
        self.job_manager_address = self.job_manager_address or seen.job_manager_address
        if seen.instance is not None:
            self.job_id = seen.instance.job_id or self.job_id
        self.follower.saw(seen.status, now, error=seen.error, refreshed=True, gone=seen.is_gone)
        self._wake()

    def no_answer(self, error: Exception | str, now: float) -> None:
        """Dinky did not answer: after a while a line in the log, after too long the end."""
        self.follower.no_answer(error, now)
        self._wake()

    def give_up(self, error: Exception | str, now: float) -> None:
        """Dinky refuses to tell, or nobody can be asked: the end, if that is about the job."""
        if isinstance(error, Exception):
            self.follower.no_answer(error, now)
        else:
            self.follower.give_up(error)
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
        if self.follower.log.is_due:
            for line in self.follower.lines(self.name):
                say(line)
        died, self._died = self._died, None
        if died is not None and not self.has_ended:
            raise died

    def _is_due(self) -> bool:
        return self.follower.log.is_due or self._died is not None or self.has_ended or self.wants_inspection

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and self._is_due():
            self._waiter.set_result(None)
