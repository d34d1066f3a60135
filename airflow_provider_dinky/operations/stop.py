# SPDX-License-Identifier: Apache-2.0
"""Waiting for the end of a job that was asked to stop: Dinky answers before the job has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import Steps
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
)
from airflow_provider_dinky.client.flink import cancel_job, job_details
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.gone import is_application
from airflow_provider_dinky.operations.wait import wait_until

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.followed import FollowedJob

log = logging.getLogger(__name__)

STATE_LAG = 12.0
"""Seconds by which Dinky's state of a job may be late where no refresh can be forced (10 s were seen)."""


@dataclass(frozen=True)
class JobEnd:
    """How far a job that was asked to stop has come.

    :param has_ended: it has.
    :param status: its state as it was seen last; None if nobody has answered.
    :param error: why it could not be looked at just now; None if it could.
    """

    has_ended: bool = False
    status: JobStatus | None = None
    error: DinkyError | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether waiting does not help: Dinky cannot see the job any more."""
        return self.status == JobStatus.UNKNOWN

    def __str__(self) -> str:
        status = "in a state that could not be read" if self.status is None else f"{self.status}"
        return status if self.error is None else f"{status} (the last look failed: {self.error})"


@dataclass
class EndWatch:
    """Decides whether a job has ended. Pure.

    Where Flink itself says so, Dinky is given the time that its state may be late: whoever starts the task's next job
    asks Dinky, which would still call this one active.
    """

    _ended_in_flink: float | None = None

    def saw(self, status: JobStatus, in_flink: JobStatus | None, now: float) -> JobEnd:
        """Take in one look.

        :param status: what Dinky says.
        :param in_flink: what Flink itself says; None where it was not asked.
        :param now: seconds on any clock that does not go back.
        """
        if status.is_final or in_flink is None or not in_flink.is_final:
            return JobEnd(status.is_final, status)
        if self._ended_in_flink is None:
            self._ended_in_flink = now
        return JobEnd(now - self._ended_in_flink >= STATE_LAG, in_flink)


def can_refresh(config: DinkyConfig, dinky_task_id: int) -> Steps[bool]:
    """Whether Dinky can, and may, be made to ask Flink about a job of the task that is about to end.

    In application and per-job mode the cluster ends with its job, and a refresh after that would turn FINISHED into
    UNKNOWN. Where the task's type cannot be read it may be such a one.
    """
    if not config.has_credentials:
        return False
    try:
        cluster_type: str | None = (yield calls.get_task(dinky_task_id)).type
    except DinkyError as error:
        log.debug("The type of Dinky task %s cannot be read: %s", dinky_task_id, error)
        return False
    return not is_application(cluster_type)


def wait_for_end(
    config: DinkyConfig, job: FollowedJob, *, refresh: bool, until: float, now: Callable[[], float]
) -> Steps[JobEnd]:
    """Wait until a job has ended. Trouble on the way is waited out; UNKNOWN ends the waiting.

    :param refresh: make Dinky ask Flink at each look; see :func:`can_refresh`.
    :param until: when to give up, by ``now``, which counts seconds.
    :raises DinkyNotFoundError: Dinky does not know the job instance.
    :raises DinkyConfigError: the connection cannot be used.
    """
    watch, last = EndWatch(), JobEnd()

    def look() -> Steps[JobEnd | None]:
        nonlocal last
        last = yield from look_at_end(config, job, watch, last, refresh=refresh, now=now)
        return last if last.has_ended or last.is_unknown else None

    yield from wait_until(look, until, now)
    return last


def look_at_end(
    config: DinkyConfig,
    job: FollowedJob,
    watch: EndWatch,
    last: JobEnd,
    *,
    refresh: bool,
    now: Callable[[], float],
) -> Steps[JobEnd]:
    """One look of :func:`wait_for_end`.

    :param watch: remembers the looks before.
    :param last: what the look before has given.
    """
    try:
        status = yield from _status(job.job_instance_id, refresh)
    except (DinkyNotFoundError, DinkyConfigError):
        raise
    except DinkyError as error:
        log.debug("%s cannot be looked at: %s", job, error)
        return replace(last, error=error)
    in_flink = None
    if not status.is_final and not refresh and config.allow_flink_rest:
        in_flink = yield from _in_flink(job)
    return watch.saw(status, in_flink, now())


def cancel_in_flink(config: DinkyConfig, job_id: str | None, job_manager_address: str | None) -> Steps[bool]:
    """Ask Flink to cancel a job by its own id: through Dinky with credentials, else where the connection allows it.

    :return: whether it was asked; False where it cannot be.
    :raises DinkyError: it did not answer, or refused.
    """
    if not job_id or not job_manager_address or not (config.has_credentials or config.allow_flink_rest):
        return False
    yield cancel_job(job_manager_address, job_id, via_dinky=config.has_credentials)
    return True


def _status(job_instance_id: int, refresh: bool) -> Steps[JobStatus]:
    if refresh:
        try:
            status: JobStatus = (yield calls.refresh_job_info_detail(job_instance_id)).instance.status
            return status
        except DinkyNotFoundError:
            raise
        except DinkyRefusedError as error:
            # Dinky's details of a job fail for reasons that have nothing to do with its state.
            log.debug("No forced refresh of job instance %s: %s", job_instance_id, error)
    kept: JobStatus = (yield calls.get_job_instance(job_instance_id)).status
    return kept


def _in_flink(job: FollowedJob) -> Steps[JobStatus | None]:
    if not job.job_manager_address or not job.job_id:
        return None
    try:
        details: dict[str, Any] = yield job_details(job.job_manager_address, job.job_id)
    except DinkyError as error:
        log.debug("Flink does not show %s: %s", job, error)
        return None
    state = details.get("state")
    return JobStatus(state) if isinstance(state, str) and state.strip() else None
