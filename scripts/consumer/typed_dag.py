# SPDX-License-Identifier: Apache-2.0
"""A DAG as a team with ``mypy --strict`` writes it; ``check_wheel.py`` type-checks it against the installed wheel.

Each line that is wrong on purpose says which error it is: mypy complains of an ignored error that is not there, as it
would if the package's types were not found.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task
from typing_extensions import assert_type

from airflow_provider_dinky.client.models import JobInstance, SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    RestartTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

with DAG("typed", schedule=None):
    SubmitTaskOperator(
        task_id="submit",
        dinky_task_id=1,
        variables={"day": "{{ ds }}"},
        if_running="attach",
        wait_for="finished",
        timeout=timedelta(hours=1),
    )
    RestartTaskOperator(task_id="restart", dinky_task_id="{{ var.value.stream }}", cancel_on_kill="savepoint")
    CancelTaskOperator(task_id="cancel", dinky_task_id=1, with_savepoint=True)
    SavepointTaskOperator(task_id="savepoint", dinky_task_id=1)
    JobStatusSensor(task_id="wait", job_instance_id=1, deferrable=True)
    CancelTaskOperator(task_id="wrong", dinky_task_id=[1])  # type: ignore[arg-type]
    SubmitTaskOperator(task_id="wrong_too", dinky_task_id=1, if_running="wait")  # type: ignore[arg-type]

    @task
    def submit_by_hand() -> int | None:
        """What the hook returns has types."""
        with DinkyHook("dinky_default") as hook:
            result = hook.submit_task(1, variables={"day": "2026-01-01"})
            assert_type(result, SubmitResult)
            newest = hook.get_latest_job_instance(1)
            assert_type(newest, JobInstance | None)
            if newest is not None:
                assert_type(newest.status, JobStatus)
                hook.cancel_task("one")  # type: ignore[arg-type]
            return result.job_instance_id


def sandbox_url() -> str:
    """Where a sandbox is."""
    with Sandbox(speed=20, tasks=[TaskSpec(1, "stream", "streaming", "SELECT 1")]) as sandbox:
        return sandbox.url


def trigger() -> JobStatusTrigger:
    """A trigger of one's own operator."""
    return JobStatusTrigger(1, poll_interval=5.0)
