# SPDX-License-Identifier: Apache-2.0
"""Streaming jobs of a sandbox, for the tests of what Flink knows of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_provider_dinky.client.models import JobInstance
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.hooks.dinky import DinkyHook

STREAM, CHECKPOINTED = 1, 10


def running(hook: DinkyHook, dinky_task_id: int, savepoint_path: str | None = None) -> JobInstance:
    """Start a job and wait until it runs."""
    job_instance_id = hook.submit_task(dinky_task_id, savepoint_path).job_instance_id
    assert job_instance_id is not None
    return reaches(hook, job_instance_id, JobStatus.RUNNING)


def reaches(hook: DinkyHook, job_instance_id: int, status: JobStatus) -> JobInstance:
    """Wait until a job is in a state, by Dinky's fresh look at it."""
    until(lambda: hook.refresh_job_instance(job_instance_id).status == status)
    return hook.get_job_instance(job_instance_id)


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
