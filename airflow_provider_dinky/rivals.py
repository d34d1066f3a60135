# SPDX-License-Identifier: Apache-2.0
"""Two runs that start the same Dinky task at once: both look, see no job, and submit. Dinky lets them.

Dinky keeps only the newest job as the task's own and stops only that, so it is the later job that gives way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyNotFoundError
from airflow_provider_dinky.client.status import JobStatus

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook

MOST_LOOKED_AT = 20
"""Instances an anonymous caller looks at one by one: Dinky shows lists to signed-in users only."""


def find_rivals(
    hook: DinkyHook, dinky_task_id: int, ours: int, baseline: int
) -> tuple[list[JobInstance], list[JobInstance]]:
    """Active jobs of the task that were started while ours was: before it, and after it.

    :param ours: id of our job instance.
    :param baseline: id of the task's newest job instance when we looked; 0 for none.
    """
    if hook.config.has_credentials:
        found = hook.client.send(calls.list_job_instances_of_task(dinky_task_id))
    else:
        found = _one_by_one(hook, dinky_task_id, ours, baseline)
    rivals = sorted(
        (job for job in found if job.id > baseline and job.id != ours and _runs(job)), key=lambda job: job.id
    )
    return [job for job in rivals if job.id < ours], [job for job in rivals if job.id > ours]


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
