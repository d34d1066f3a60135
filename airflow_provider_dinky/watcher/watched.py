# SPDX-License-Identifier: Apache-2.0
"""What a poll loop needs to know of whatever it looks at."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_dinky.client.models import JobInstance, JobState


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
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""

    def observe(self, instance: JobState | None, now: float, *, will_be_refreshed: bool = False) -> bool:
        """Take in an answer; returns whether Dinky should be made to look anew."""

    def refreshed(self, instance: JobInstance, now: float) -> None:
        """Take in what Dinky says after it was made to look anew."""

    def hear_nothing(self, why: str, now: float) -> None:
        """Dinky did not answer."""

    def give_up(self, why: str) -> None:
        """It cannot be read."""

    def lose_watcher(self, error: BaseException | None) -> None:
        """The poll loop is gone."""
