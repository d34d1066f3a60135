# SPDX-License-Identifier: Apache-2.0
"""Two runs that start the same Dinky task at once: both look, see no job, and submit. Dinky lets them.

Dinky keeps only the newest job as the task's own and stops only that, so it is the later job that gives way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyNotFoundError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.followed import look_anew

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook

MOST_LOOKED_AT = 20
"""Instances an anonymous caller looks at one by one: Dinky shows lists to signed-in users only."""


def find_rivals(
    hook: DinkyHook, dinky_task_id: int, ours: int, baseline: int | None
) -> tuple[list[JobInstance], list[JobInstance]]:
    """Active jobs of the task that were started while ours was: before it, and after it.

    :param ours: id of our job instance.
    :param baseline: id of the task's newest job instance when we looked; 0 for none. None where that was not kept:
        then those that ran without a break before ours, for we start a job only when the newest one has ended. An
        anonymous caller finds none then.
    """
    if hook.config.has_credentials:
        found = hook.client.send(calls.list_job_instances_of_task(dinky_task_id))
        if baseline is None:
            baseline = max((job.id for job in found if job.id < ours and not _runs(job)), default=0)
    elif baseline is None:
        return [], []
    else:
        found = _one_by_one(hook, dinky_task_id, ours, baseline)
    suspects = [job for job in found if job.id > baseline and job.id != ours and _runs(job)]
    # Dinky is known to leave RUNNING behind after a job has ended, and lags behind by some seconds.
    rivals = sorted(
        (job for job in (look_anew(hook, one) for one in suspects) if _runs(job)), key=lambda job: job.id
    )
    return [job for job in rivals if job.id < ours], [job for job in rivals if job.id > ours]


def find_older(hook: DinkyHook, dinky_task_id: int, newest: JobInstance) -> JobInstance | None:
    """The latest job of the task that runs though a later one has ended, as it does after that one has given way.

    Dinky does not show it as the task's job any more. One that it has lost sight of does not count: most likely it
    went with its cluster, long ago, and must not keep the task from ever starting. Needs credentials; None without.

    :param newest: the task's newest job instance, which has ended.
    """
    if not hook.config.has_credentials:
        return None
    found = hook.client.send(calls.list_job_instances_of_task(dinky_task_id))
    suspects = sorted((job for job in found if job.id < newest.id and _runs(job)), key=lambda job: -job.id)
    seen = (look_anew(hook, one) for one in suspects)
    return next((job for job in seen if _runs(job) and job.status != JobStatus.RECONNECTING), None)


def _runs(job: JobInstance) -> bool:
    return job.status.is_active and job.status != JobStatus.UNKNOWN


def _one_by_one(hook: DinkyHook, dinky_task_id: int, ours: int, baseline: int) -> tuple[JobInstance, ...]:
    found = []
    # Ids count over all tasks, so most of those in between belong to others.
    for job_instance_id in range(ours - 1, max(baseline, ours - 1 - MOST_LOOKED_AT), -1):
        try:
            job = hook.get_job_instance(job_instance_id)
        except DinkyNotFoundError:
            continue
        if job.dinky_task_id == dinky_task_id:
            found.append(job)
    newest = hook.get_latest_job_instance(dinky_task_id)
    return (*found, newest) if newest is not None else tuple(found)
