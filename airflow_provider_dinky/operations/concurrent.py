# SPDX-License-Identifier: Apache-2.0
"""Other jobs of a Dinky task: those that run behind a newer one, and those that were started at the same time.

Dinky keeps only the newest job as the task's own and stops only that. So of two jobs that were started at once the
later one is stopped; and from then on Dinky calls the task CANCELED although the earlier one runs.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import Sleep, Steps
from airflow_provider_dinky.client.errors import DinkyError, DinkyNotFoundError
from airflow_provider_dinky.client.flink import job_details, jobs_overview
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.gone import UnknownJob, is_application
from airflow_provider_dinky.operations.inspect_job import confirm_gone
from airflow_provider_dinky.operations.stop import STATE_LAG

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInfoDetail, JobInstance

log = logging.getLogger(__name__)

MAX_LOOKS = 20
"""Job instances that an anonymous caller reads one by one: Dinky shows lists to authenticated users only."""
HOP_AFTER = 5
"""Ids in a row that do not exist, after which longer and longer steps look for the next one that does: after a crash
of its server Dinky goes on with a gap of 30 ids and more."""


_ENDING = (JobStatus.CANCELLING, JobStatus.FAILING)


@dataclass(frozen=True)
class RunningJob:
    """A job of the task, which runs or has run.

    :param job_instance_id: Dinky's id; None for a job that only Flink names. That it is of this Dinky task is proved
        by the id; without it, it has the task's name in Flink.
    :param job_id: Flink's id.
    :param job_manager_address: ``host:port`` of its cluster; None where it is not visible.
    :param created: when Dinky made the job instance, as Dinky writes it.
    """

    job_instance_id: int | None
    job_id: str | None
    status: JobStatus
    job_manager_address: str | None = None
    created: str | None = None

    def __str__(self) -> str:
        if self.job_instance_id is not None:
            return f"job instance {self.job_instance_id}"
        return f"Flink job {self.job_id} at {self.job_manager_address}"


@dataclass(frozen=True)
class OlderJobs:
    """What runs behind the newest job of a task.

    :param running: newest first.
    :param not_visible: what could not be looked at; None if nothing was left out.
    """

    running: tuple[RunningJob, ...] = ()
    not_visible: str | None = None


@dataclass(frozen=True)
class CurrentJobs:
    """What a start of the task would meet.

    :param newest: the task's newest job instance as it was seen last; None for a task that never ran.
    :param active: the job of the task that is active; None if none is, as far as is visible.
    :param unknown: the newest one, if its state is UNKNOWN: Flink does not know it any more (then it is not active),
        or its cluster cannot be reached (then it is).
    :param not_visible: see OlderJobs; None also where it was not looked behind the newest job.
    """

    newest: JobInstance | None = None
    active: RunningJob | None = None
    unknown: UnknownJob | None = None
    not_visible: str | None = None

    @property
    def ended(self) -> RunningJob | None:
        """The newest job, if none is active; None for a task that never ran."""
        return _from_instance(self.newest) if self.newest is not None and self.active is None else None


def current_jobs(
    config: DinkyConfig, dinky_task_id: int, job_manager_address: str | None = None
) -> Steps[CurrentJobs]:
    """Whether the task has an active job; only what was confirmed counts.

    Dinky says RUNNING for 4 to 10 s after a stop. Where it cannot be made to ask Flink, and Flink cannot be asked
    itself, an active job is looked at once more after 12 s.

    :param job_manager_address: ``host:port`` of the job manager; for an anonymous connection.
    :raises DinkyError: Dinky does not answer.
    """
    newest: JobInstance | None = yield calls.get_latest_job_instance(dinky_task_id)
    if newest is None:
        return CurrentJobs()
    unknown, address = None, job_manager_address
    if newest.status.is_active and newest.status != JobStatus.UNKNOWN:
        newest, address = yield from _confirmed(config, newest, job_manager_address)
    if newest.status == JobStatus.UNKNOWN:
        unknown = yield from confirm_gone(config, newest.id, newest.job_id, address)
        newest = newest.model_copy(update={"status": unknown.status})
        unknown = unknown if unknown.status == JobStatus.UNKNOWN else None
    if newest.status.is_active and not (unknown and unknown.is_gone):
        return CurrentJobs(newest, _from_instance(newest, address), unknown)
    older = yield from older_jobs(config, dinky_task_id, newest, job_manager_address)
    running = older.running
    if running and not config.has_credentials:
        running = yield from still_running(running)
    return CurrentJobs(newest, running[0] if running else None, unknown, older.not_visible)


def older_jobs(
    config: DinkyConfig, dinky_task_id: int, newest: JobInstance, job_manager_address: str | None = None
) -> Steps[OlderJobs]:
    """The jobs of a task that run behind its newest one, as far as they are visible.

    Authenticated by Dinky's list of the task's newest 50 job instances, each looked at again. Anonymous by Flink's list
    of jobs, if the connection allows that and the cluster is known, by name; else by the job instances below the
    newest, one request each, at most 20. A job that Dinky cannot see any more (UNKNOWN) does not count: most likely it
    went with its cluster, long ago, and must not keep the task from ever starting.

    :param newest: the task's newest job instance.
    :param job_manager_address: ``host:port`` of the job manager; for an anonymous connection.
    :raises DinkyError: Dinky does not answer.
    """
    if config.has_credentials:
        listed: tuple[JobInstance, ...] = yield calls.list_job_instances_of_task(dinky_task_id)
        suspects = [job for job in listed if job.id < newest.id and _runs(job)]
        return OlderJobs(tuple((yield from _running(config, suspects))))
    in_flink = yield from _in_flink(config, newest, job_manager_address)
    if in_flink == ():
        return OlderJobs((), f"jobs of the task on other Flink clusters than {job_manager_address}")
    below, lowest = yield from _below(dinky_task_id, newest.id)
    instances = tuple(map(_from_instance, (job for job in below if _runs(job))))
    if in_flink is None:
        left = f"job instances of the task older than {lowest}" if lowest > 1 else None
        return OlderJobs(instances, left)
    by_job_id = {job.job_id: job for job in instances}
    named = tuple(_with_instance(job, by_job_id.get(job.job_id)) for job in in_flink)
    return OlderJobs(named, f"jobs of the task on other Flink clusters than {job_manager_address}")


def started_with(
    config: DinkyConfig, dinky_task_id: int, ours: int, baseline: int | None
) -> Steps[tuple[list[JobInstance], list[JobInstance]]]:
    """Active jobs of the task that were started while ours was: before it, and after it.

    :param ours: id of our job instance.
    :param baseline: id of the task's newest job instance when we looked; 0 for none. None where that was not kept:
        then those that ran without a break before ours, for we start a job only when the newest one has ended. An
        anonymous caller finds none then.
    """
    found: Iterable[JobInstance]
    if config.has_credentials:
        found = yield calls.list_job_instances_of_task(dinky_task_id)
        if baseline is None:
            baseline = max((job.id for job in found if job.id < ours and not _runs(job)), default=0)
    elif baseline is None:
        return [], []
    else:
        between, _ = yield from _below(dinky_task_id, ours, baseline)
        newest = yield calls.get_latest_job_instance(dinky_task_id)
        found = between if newest is None else (*between, newest)
    suspects = [job for job in found if job.id > baseline and job.id != ours and _runs(job)]
    again = []
    for suspect in suspects:
        job, _ = yield from _look_again(config, suspect)
        again.append(job)
    others = sorted(filter(_runs, again), key=lambda job: job.id)
    return [job for job in others if job.id < ours], [job for job in others if job.id > ours]


def _running(config: DinkyConfig, suspects: Iterable[JobInstance]) -> Steps[list[RunningJob]]:
    found = []
    for suspect in sorted(suspects, key=lambda job: -job.id):
        job, address = yield from _look_again(config, suspect)
        # Flink does not answer for a job that is RECONNECTING: most likely its cluster is gone.
        if _runs(job) and job.status != JobStatus.RECONNECTING:
            found.append(_from_instance(job, address))
    return found


def _look_again(config: DinkyConfig, job: JobInstance) -> Steps[tuple[JobInstance, str | None]]:
    """The job and its cluster after a forced refresh, where there can be one; best effort.

    Dinky is known to leave RUNNING behind after a job has ended, and lags behind by some seconds.
    """
    if not config.has_credentials:
        return job, None
    # A cluster in application mode ends with its job, and a forced refresh after that turns FINISHED into UNKNOWN.
    look = calls.get_job_info_detail if is_application(job.type) else calls.refresh_job_info_detail
    try:
        detail: JobInfoDetail = yield look(job.id)
    except DinkyError as error:
        log.debug("No forced refresh of job instance %s: %s", job.id, error)
        return job, None
    return detail.instance, detail.job_manager_address


def _confirmed(
    config: DinkyConfig, job: JobInstance, job_manager_address: str | None
) -> Steps[tuple[JobInstance, str | None]]:
    """An active job as it really is, and its cluster."""
    address = job_manager_address
    if config.has_credentials:
        try:
            detail: JobInfoDetail = yield calls.get_job_info_detail(job.id)
        except DinkyError as error:
            log.debug("No details of job instance %s: %s", job.id, error)
        else:
            address = detail.job_manager_address or address
            job = job.model_copy(update={"type": job.type or detail.cluster_type})
        if not is_application(job.type):
            again, _ = yield from _look_again(config, job)
            if again.status in _ENDING:
                yield Sleep(STATE_LAG)
                again, _ = yield from _look_again(config, job)
            return again, address
    in_flink = yield from _state_in_flink(config, job, address)
    if in_flink is None or in_flink in _ENDING:
        yield Sleep(STATE_LAG)
        job = yield calls.get_job_instance(job.id)
    elif in_flink.is_final:
        job = job.model_copy(update={"status": in_flink})
    return job, address


def _state_in_flink(config: DinkyConfig, job: JobInstance, address: str | None) -> Steps[JobStatus | None]:
    """The state of a job in Flink; None where it cannot be asked, or does not know the job."""
    if not config.allow_flink_rest or not address or not job.job_id:
        return None
    try:
        details: dict[str, Any] = yield job_details(address, job.job_id)
    except DinkyError as error:
        log.debug("Flink at %s does not show job %s: %s", address, job.job_id, error)
        return None
    state = details.get("state")
    return JobStatus(state) if isinstance(state, str) and state.strip() else None


def still_running(running: tuple[RunningJob, ...]) -> Steps[tuple[RunningJob, ...]]:
    """Those that are active after as long as Dinky's state may be late; what Flink itself says is not late.

    For an anonymous connection: with credentials :func:`older_jobs` has looked at each again.
    """
    found, has_waited = [], False
    for job in running:
        if job.job_manager_address is None and job.job_instance_id is not None:
            if not has_waited:
                yield Sleep(STATE_LAG)
                has_waited = True
            again: JobInstance = yield calls.get_job_instance(job.job_instance_id)
            if not _runs(again):
                continue
            job = _from_instance(again)
        found.append(job)
    return tuple(found)


def _in_flink(
    config: DinkyConfig, newest: JobInstance, job_manager_address: str | None
) -> Steps[tuple[RunningJob, ...] | None]:
    """Active jobs with the task's name but the newest, in Flink; None where it cannot be asked."""
    if not config.allow_flink_rest or not job_manager_address or not newest.name:
        return None
    try:
        rows: list[dict[str, Any]] = yield jobs_overview(job_manager_address)
    except DinkyError as error:
        log.debug("Flink at %s does not list its jobs: %s", job_manager_address, error)
        return None
    named = [row for row in rows if row.get("name") == newest.name and row.get("jid") != newest.job_id]
    found = [
        RunningJob(None, str(row.get("jid")), JobStatus(str(row.get("state"))), job_manager_address)
        for row in sorted(named, key=lambda row: -_number(row.get("start-time")))
    ]
    return tuple(job for job in found if job.status.is_active)


def _below(dinky_task_id: int, top: int, bottom: int = 0) -> Steps[tuple[list[JobInstance], int]]:
    """Job instances of the task with ids below ``top``, newest first, and the lowest id that was looked at."""
    found, lowest = {}, top
    walk = walk_down(top, bottom)
    wanted = next(walk, None)
    while wanted is not None:
        try:
            job: JobInstance | None = yield calls.get_job_instance(wanted)
        except DinkyNotFoundError:
            job = None
        lowest = min(lowest, wanted)
        # Ids count over all tasks, so most of those in between belong to others.
        if job is not None and job.dinky_task_id == dinky_task_id:
            found[job.id] = job
        try:
            wanted = walk.send(job is not None)
        except StopIteration:
            wanted = None
    return sorted(found.values(), key=lambda job: -job.id), lowest


def walk_down(top: int, bottom: int = 0) -> Generator[int, bool, None]:
    """Ids below ``top`` and above ``bottom`` to look at, newest first, at most 20; gaps are hopped over. Pure.

    It is sent whether each id exists. Behind a gap it looks for the highest id that exists, and goes on from there.
    """
    looks, at, missing, step = MAX_LOOKS, top - 1, 0, 1
    while looks > 0 and at > bottom:
        looks -= 1
        if not (yield at):
            missing += 1
            step = 1 if missing < HOP_AFTER else step * 2
            at -= step
            continue
        existing, above = at, at + step
        while looks > 0 and above - existing > 1:
            middle = (existing + above) // 2
            looks -= 1
            if (yield middle):
                existing = middle
            else:
                above = middle
        missing, step, at = 0, 1, existing - 1


def _runs(job: JobInstance) -> bool:
    return job.status.is_active and job.status != JobStatus.UNKNOWN


def _from_instance(job: JobInstance, address: str | None = None) -> RunningJob:
    return RunningJob(job.id, job.job_id, job.status, address, job.create_time)


def _with_instance(job: RunningJob, instance: RunningJob | None) -> RunningJob:
    if instance is None:
        return job
    return RunningJob(
        instance.job_instance_id, job.job_id, job.status, job.job_manager_address, instance.created
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
