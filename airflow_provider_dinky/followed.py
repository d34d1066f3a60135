# SPDX-License-Identifier: Apache-2.0
"""A job that an Airflow task follows: who it is, where to look at it, why it failed, how to stop it."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Optional

from airflow_provider_dinky.client.status import JobStatus

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import ApiCall, Steps
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInstance, SavepointResult
    from airflow_provider_dinky.hooks.dinky import DinkyHook

log = logging.getLogger(__name__)

KILL_PATIENCE = 3.0
"""Seconds for the one request that stops a job when its task is killed."""

CancelOnKill = Optional[Literal["cancel", "savepoint"]]  # noqa: UP045


@dataclass(frozen=True)
class FollowedJob:
    """A job instance that a task follows; JSON-able, to survive a deferral.

    :param started: this Airflow task run started it; only then may it be stopped with the task.
    :param before: the job instance that it has taken the place of, in a restart.
    :param back_to: the savepoint which that one was stopped with.
    """

    dinky_task_id: int | None
    job_instance_id: int
    job_id: str | None = None
    job_manager_address: str | None = None
    started: bool = False
    before: int | None = None
    back_to: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> FollowedJob:
        """The job out of :meth:`to_dict`; fields of another version of the provider are ignored."""
        return cls(**{name: value for name, value in fields.items() if name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        of = f" of Dinky task {self.dinky_task_id}" if self.dinky_task_id is not None else ""
        return f"job instance {self.job_instance_id}{of}"


def dinky_url(base_url: str, job_instance_id: int) -> str:
    """Dinky's page of a job instance."""
    return f"{base_url}/#/devops/job-detail?id={job_instance_id}"


def flink_url(job_manager_address: str | None, job_id: str | None) -> str | None:
    """Flink's page of a job, or None while its place is not known."""
    if not job_manager_address or not job_id:
        return None
    return f"http://{job_manager_address}/#/job/{job_id}/overview"


def look_anew(hook: DinkyHook, instance: JobInstance) -> JobInstance:
    """The run after Dinky has asked Flink once more, where it can be made to; else as it is known.

    Best effort: a Dinky that does not answer, or cannot reach Flink, is no news of the job.
    """
    from airflow_provider_dinky.client.errors import DinkyError

    if not hook.config.has_credentials:
        return instance
    try:
        return hook.refresh_job_instance(instance.id)
    except DinkyError as error:
        log.debug("No forced refresh of job instance %s: %s", instance.id, error)
        return instance


def stopped_key(dinky_task_id: int) -> str:
    """Key in a watched asset's state store: the job instance of the task that Airflow itself has stopped."""
    return f"dinky_stopped_{dinky_task_id}"


def describe_failure(
    hook: DinkyHook,
    job: FollowedJob,
    status: JobStatus,
    noted: str | None = None,
    *,
    restarts: int = 0,
    gone: bool = False,
    cluster_type: str | None = None,
) -> str:
    """Why a job is not where it was awaited: first line what and why, then what to do and where to look.

    :param status: its last state.
    :param noted: what Dinky itself noted as the error.
    :param restarts: how often it was restarted before its tasks ran, if that is the failure.
    :param gone: Flink does not know the job any more.
    :param cluster_type: what kind of cluster it runs on; None where that is not known.
    """
    from airflow_provider_dinky.client.java import noted_cause, root_cause
    from airflow_provider_dinky.client.remedies import remedy_for
    from airflow_provider_dinky.jobs.gone import UnknownJob

    advice = None
    if status == JobStatus.UNKNOWN:
        reason = UnknownJob(status, gone, noted, job.job_id, job.job_manager_address, cluster_type).reason
        noted = noted_cause(noted)
        reason += f" ({hook.config.redact(noted)})" if noted else ""
    elif status == JobStatus.CANCELED:
        reason = "it was cancelled, by somebody or by Flink"
    else:
        trace = hook.get_failure_trace(job.job_instance_id, job.job_id, job.job_manager_address)
        noted = hook.config.redact(noted) if noted else None
        reason = root_cause(trace) or noted_cause(noted) or _nobody_tells(hook)
        advice = remedy_for(trace or noted)
        if restarts:
            reason = f"it was restarted {restarts} times before all its tasks ran. The last reason: {reason}"
    lines = [f"{job} is {status}: {reason}"]
    if advice:
        lines.append(f"What to do: {advice}")
    lines.append(f"Dinky: {dinky_url(hook.config.base_url, job.job_instance_id)}")
    flink = flink_url(job.job_manager_address, job.job_id)
    if flink:
        lines.append(f"Flink: {flink}")
    text = "\n".join(lines)
    return text[0].upper() + text[1:]


def _nobody_tells(hook: DinkyHook) -> str:
    if hook.config.has_credentials:
        return "neither Dinky nor Flink tells the reason"
    return (
        f"reason not available: sign in to Dinky, or allow Flink REST, in connection '{hook.dinky_conn_id}'"
    )


@dataclass(frozen=True)
class StopResult:
    """What was done about a job that was to be stopped.

    :param text: for the log; it names the savepoint.
    :param savepoint_path: the savepoint that the job stops with; None without one.
    """

    text: str
    savepoint_path: str | None = None

    def __str__(self) -> str:
        return self.text


def stop_steps(
    job: FollowedJob, how: Literal["cancel", "savepoint"], config: DinkyConfig
) -> Steps[StopResult]:
    """The calls that stop a job we started, if it is still its task's current one; returns what was done, for the log.

    Dinky stops whatever is the task's current job, so without the look just before, somebody else's would die. A
    job that is not current any more can only be cancelled in Flink, by its own id: authenticated through Dinky, else
    where the connection allows it.
    """
    from airflow_provider_dinky.client import calls

    if job.dinky_task_id is None or not job.started:
        return StopResult(f"{job} was not started by this task and is left alone")
    current, status = yield from _current_job(job.dinky_task_id, config)
    if current != job.job_instance_id:
        if how == "cancel" and (yield from _cancel_in_flink(job, config)):
            return StopResult(
                f"Flink was asked to cancel {job}, which is not its Dinky task's current job any more ({current} is)"
            )
        return StopResult(
            f"{job} was not stopped: the current one of its Dinky task is {current or 'none'}, and Dinky stops only "
            "that"
        )
    if status is not None and status.is_final:
        return StopResult(f"{job} has already ended: {status}")
    via_api = config.has_credentials
    if how == "savepoint":
        taken: SavepointResult = yield calls.trigger_savepoint(job.dinky_task_id, "stop", via_api=via_api)
        named = taken.path or "not named in Dinky's answer; it is in Dinky's list of the task's savepoints"
        return StopResult(f"Dinky was asked to stop {job} with a savepoint: {named}", taken.path)
    if not via_api and (yield from _cancel_in_flink_first(job, config)):
        return StopResult(f"Flink was asked to cancel {job}")
    yield calls.cancel_task(job.dinky_task_id, via_api=via_api)
    return StopResult(f"Dinky was asked to cancel {job}")


def _cancel_in_flink_first(job: FollowedJob, config: DinkyConfig) -> Steps[bool]:
    """For an anonymous caller, who sees the newest job: Dinky cancels the one that its task's row names.

    Of submits at the same time it names the one whose row was written last, which need not be the newest (seen on
    1.2.0-dev; 1.1.0 does the same).
    """
    from airflow_provider_dinky.client.errors import DinkyError

    try:
        return (yield from _cancel_in_flink(job, config))
    except DinkyError as error:
        log.debug("%s cannot be cancelled in Flink: %s", job, error)
        return False


def _cancel_in_flink(job: FollowedJob, config: DinkyConfig) -> Steps[bool]:
    from airflow_provider_dinky.client import calls
    from airflow_provider_dinky.operations.stop import cancel_in_flink

    address, job_id = job.job_manager_address, job.job_id
    if config.has_credentials and not (address and job_id):
        detail = yield calls.get_job_info_detail(job.job_instance_id)
        address, job_id = detail.job_manager_address, detail.instance.job_id
    return (yield from cancel_in_flink(config, job_id, address))


def _current_job(
    dinky_task_id: int, config: DinkyConfig
) -> Generator[ApiCall[Any], Any, tuple[int | None, JobStatus | None]]:
    from airflow_provider_dinky.client import calls

    if config.has_credentials:
        task = yield calls.get_task(dinky_task_id)
        return task.job_instance_id, JobStatus(task.status) if task.status else None
    newest = yield calls.get_latest_job_instance(dinky_task_id)
    return (newest.id, newest.status) if newest else (None, None)


def hasty(config: DinkyConfig) -> DinkyConfig:
    """The connection with the short time-outs that a task being killed has left."""
    return replace(
        config,
        connect_timeout=min(KILL_PATIENCE, config.connect_timeout),
        read_timeout=KILL_PATIENCE,
        savepoint_timeout=KILL_PATIENCE,
    )
