# SPDX-License-Identifier: Apache-2.0
"""What a poll loop needs to know of whatever it looks at."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_dinky.client.models import JobState
from airflow_provider_dinky.jobs.follower import Follower
from airflow_provider_dinky.jobs.gone import UnknownJob


class Watched(Protocol):
    """One job, or the newest run of one task, that somebody watches."""

    poll_interval: float
    """Seconds between looks."""
    place: int
    watched: bool
    """Whether a watcher looks at it."""

    @property
    def job_instance_id(self) -> int | None:
        """Dinky's id of the run; None while the newest run of a task is meant."""

    @property
    def dinky_task_id(self) -> int | None:
        """The task, if no run is given."""

    @property
    def newer_than(self) -> int:
        """The newest run of the task that is not meant."""

    @property
    def job_manager_address(self) -> str | None:
        """Where the job runs, if that is known."""

    @property
    def follower(self) -> Follower:
        """The rules of following the job, and what has been seen of it."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""

    def observe(self, instance: JobState | None, now: float) -> None:
        """Take in an answer."""

    def refreshed(self, seen: UnknownJob, now: float) -> None:
        """Take in what Dinky says after it was made to look again."""

    def no_answer(self, error: Exception | str, now: float) -> None:
        """Dinky did not answer."""

    def give_up(self, error: Exception | str, now: float) -> None:
        """Dinky refuses to tell, or nobody can be asked."""

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
