# SPDX-License-Identifier: Apache-2.0
"""Looks at a job for its :class:`~airflow_provider_dinky.jobs.follower.Follower`, and does what that asks for: a
forced refresh, whether Flink still knows the job, its tasks, its first checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.checkpoints import first_checkpoint_steps
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall, Sleep, Steps
from airflow_provider_dinky.client.errors import (
    DinkyConnectionError,
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
    FlinkJobUnknownError,
)
from airflow_provider_dinky.client.flink import job_details, job_exceptions
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.flink_view import count_tasks, failure_times
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER, UnknownJob, is_application, is_gone
from airflow_provider_dinky.jobs.next_step import INSPECTIONS, Next

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import DinkyTask, JobInfoDetail, JobInstance
    from airflow_provider_dinky.jobs.follower import Follower

log = logging.getLogger(__name__)


def confirm_gone(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
) -> Steps[UnknownJob]:
    """Whether Flink does not know an UNKNOWN job any more, said twice, 15 s apart.

    Authenticated by two forced refreshes, or by Flink's REST API where the connection allows that and the place of the
    job is known. Where neither can be asked the job is not gone.

    :param job_instance_id: Dinky's id of the run, whose state is UNKNOWN.
    :param job_id: Flink's id of the job; None for what Dinky says.
    :param job_manager_address: ``host:port`` of the job manager; None for what Dinky says.
    :return: the job as it is now; it may be in sight again (``status``).
    :raises DinkyError: Dinky does not answer, or does not know the job instance.
    """
    seen = yield from inspect_unknown(config, job_instance_id, job_id, job_manager_address)
    if not seen.is_gone:
        return seen
    yield Sleep(CONFIRM_AFTER)
    return (
        yield from inspect_unknown(
            config, job_instance_id, job_id or seen.job_id, job_manager_address or seen.job_manager_address
        )
    )


def sees_flink(config: DinkyConfig, job_manager_address: str | None) -> bool:
    """Whether what Flink knows of a job is visible: through Dinky when signed in, else by Flink's own REST API."""
    return config.has_credentials or (config.allow_flink_rest and bool(job_manager_address))


def look(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[JobInstance | None]:
    """One look at a job, and whatever the follower wants to know beyond it. No error comes out: it goes into that.

    A job that Flink does not know is looked at once more after 15 s, within this look.

    :return: the job as Dinky says at first; None where that was not answered.
    """
    try:
        instance: JobInstance = yield calls.get_job_instance(job.job_instance_id)
    except DinkyError as error:
        follower.no_answer(error, clock())
        return None
    follower.saw(instance.status, clock(), error=instance.error)
    job = replace(
        job,
        dinky_task_id=job.dinky_task_id or instance.dinky_task_id,
        job_id=job.job_id or instance.job_id,
    )
    yield from examine(config, follower, job, clock)
    return instance


def look_for_newer(
    config: DinkyConfig,
    follower: Follower,
    dinky_task_id: int,
    newer_than: int,
    job_manager_address: str | None,
    clock: Callable[[], float],
) -> Steps[JobInstance | None]:
    """The same for the newest job of a task, if it is newer than a given one.

    :return: the job; None while there is none, or where that was not answered.
    """
    try:
        newest: JobInstance | None = yield calls.get_latest_job_instance(dinky_task_id)
    except DinkyError as error:
        follower.no_answer(error, clock())
        return None
    if newest is None or newest.id <= newer_than:
        follower.saw_none(clock())
        return None
    follower.saw(newest.status, clock(), error=newest.error)
    job = FollowedJob(dinky_task_id, newest.id, newest.job_id, job_manager_address)
    yield from examine(config, follower, job, clock)
    return newest


def examine(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[None]:
    """What a follower wants to know beyond a look at the job that it has just been told of."""
    if follower.next is Next.REFRESH:
        yield from _refresh(config, follower, job, clock)
        if (confirms_at := follower.confirms_at) is not None:
            yield Sleep(max(0.0, confirms_at - clock()))
            yield from _refresh(config, follower, job, clock)
    while follower.next in INSPECTIONS:
        yield from inspect(config, follower, job, clock)


def _refresh(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[None]:
    try:
        seen = yield from refresh(config, follower, job)
    except DinkyError as error:
        log.debug("No forced refresh of %s: %s", job, error)
        follower.no_refresh(clock(), is_over=not isinstance(error, DinkyConnectionError))
        return
    if seen is None:
        follower.no_refresh(clock(), is_over=True)
    else:
        follower.saw(seen.status, clock(), error=seen.error, refreshed=True, gone=seen.is_gone)


def refresh(config: DinkyConfig, follower: Follower, job: FollowedJob) -> Steps[UnknownJob | None]:
    """Make Dinky look at a job again, unless its cluster ends with it: then only a job that is UNKNOWN already.

    The follower learns the type of the cluster, once; whatever is seen is the caller's to hand to it.

    :return: the job as it is now; None where it must not be refreshed.
    :raises DinkyError: Dinky does not answer, or refuses.
    """
    if follower.status != JobStatus.UNKNOWN and (yield from _is_application(config, follower, job)):
        return None
    seen = yield from inspect_unknown(config, job.job_instance_id, job.job_id, job.job_manager_address)
    follower.cluster_type = follower.cluster_type or seen.cluster_type
    return seen


def inspect(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[None]:
    """Look at the job's tasks or checkpoints, whichever the follower wants to know."""
    try:
        if follower.next is Next.CHECKPOINT:
            fresh = not (yield from _is_application(config, follower, job))
            complete = yield from first_checkpoint_steps(config, job, fresh=fresh)
            follower.saw_checkpoint(clock(), complete=complete)
        else:
            yield from _look_at_tasks(config, follower, job, clock)
    except DinkyError as error:
        follower.not_inspected(error, clock())


def _look_at_tasks(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[None]:
    try:
        if config.has_credentials:
            details, exceptions = yield from _details_from_dinky(config, follower, job, clock)
        elif config.allow_flink_rest and job.job_manager_address and job.job_id:
            details, exceptions = yield from _details_from_flink(job.job_manager_address, job.job_id)
        else:
            follower.no_tasks(clock(), forbidden=True)
            return
    except DinkyConnectionError as error:
        if config.has_credentials:
            raise
        log.debug("The tasks of %s are not visible: %s", job, error)
        details = None
    except DinkyNotFoundError:
        raise
    except DinkyError as error:
        log.debug("The tasks of %s are not visible: %s", job, error)
        details = None
    running, total = count_tasks(details)
    if not total:
        follower.no_tasks(clock())
    elif follower.next is Next.TASKS:
        follower.saw_tasks(running, total, failure_times(exceptions) if exceptions else None, clock())


def _details_from_dinky(
    config: DinkyConfig, follower: Follower, job: FollowedJob, clock: Callable[[], float]
) -> Steps[tuple[Any, Any]]:
    # What Dinky keeps is enough while it shows the tasks running; later Flink is to say so.
    ask = calls.get_job_info_detail
    if follower.tasks is not None and not (yield from _is_application(config, follower, job)):
        ask = calls.refresh_job_info_detail
    detail: JobInfoDetail = yield ask(job.job_instance_id)
    follower.saw(detail.instance.status, clock(), error=detail.instance.error)
    data = detail.job_data
    return (data.job, data.exceptions) if data else (None, None)


def _details_from_flink(address: str, job_id: str) -> Steps[tuple[Any, Any]]:
    details = yield job_details(address, job_id)
    running, total = count_tasks(details)
    exceptions = None
    if running < total:
        exceptions = yield job_exceptions(address, job_id)
    return details, exceptions


def _is_application(config: DinkyConfig, follower: Follower, job: FollowedJob) -> Steps[bool]:
    """Whether the job's cluster ends with it; asked once."""
    if follower.cluster_type is None and config.has_credentials:
        follower.cluster_type = yield from _cluster_type(job)
    return is_application(follower.cluster_type)


def _cluster_type(job: FollowedJob) -> Steps[str]:
    if job.dinky_task_id is not None:
        try:
            task: DinkyTask = yield calls.get_task(job.dinky_task_id)
            if task.type:
                return task.type
        except DinkyRefusedError as error:
            log.debug("The type of Dinky task %s is not visible: %s", job.dinky_task_id, error)
    detail: JobInfoDetail = yield calls.get_job_info_detail(job.job_instance_id)
    return detail.cluster_type or ""


def inspect_unknown(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
) -> Steps[UnknownJob]:
    """One look at an UNKNOWN job; ``is_gone`` is what was said this once. See :func:`confirm_gone`."""
    if config.has_credentials:
        seen = yield from _refreshed(job_instance_id, job_manager_address)
    else:
        instance: JobInstance = yield calls.get_job_instance(job_instance_id)
        # What Dinky noted without being made to look again may be old: no proof.
        seen = UnknownJob(
            instance.status,
            False,
            instance.error,
            instance.job_id,
            job_manager_address,
            instance.type,
            instance,
        )
    seen = replace(seen, job_id=job_id or seen.job_id)
    if seen.status != JobStatus.UNKNOWN or seen.is_gone or not config.allow_flink_rest:
        return seen
    if not seen.job_id or not seen.job_manager_address:
        return seen
    gone = yield from _unknown_to_flink(seen.job_manager_address, seen.job_id)
    return replace(seen, is_gone=gone)


def _refreshed(job_instance_id: int, address: str | None) -> Generator[ApiCall[Any] | Sleep, Any, UnknownJob]:
    detail: JobInfoDetail = yield calls.refresh_job_info_detail(job_instance_id)
    instance = detail.instance
    return UnknownJob(
        instance.status,
        instance.status == JobStatus.UNKNOWN and is_gone(instance.error, instance.job_id),
        instance.error,
        instance.job_id,
        address or detail.job_manager_address,
        detail.cluster_type,
        instance,
    )


def _unknown_to_flink(address: str, job_id: str) -> Generator[ApiCall[Any] | Sleep, Any, bool]:
    try:
        yield job_details(address, job_id)
    except FlinkJobUnknownError:
        return True
    except DinkyError as error:
        log.debug("Flink at %s was not reached: %s", address, error)
    return False
