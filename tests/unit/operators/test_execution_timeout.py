# SPDX-License-Identifier: Apache-2.0
"""Airflow 3 leaves it to us that ``execution_timeout`` bounds a deferral and ends it as it ends a task on a worker."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_dinky.exceptions import JobTimeoutError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import new_context

STREAM = 1


def operator(**settings: Any) -> SubmitTaskOperator:
    return SubmitTaskOperator(
        **{
            "task_id": "t",
            "dinky_task_id": STREAM,
            "dinky_conn_id": "signed_in",
            "wait_for": "finished",
            "deferrable": True,
            **settings,
        }
    )


def sensor(**settings: Any) -> JobStatusSensor:
    return JobStatusSensor(
        **{"task_id": "s", "job_instance_id": 1, "dinky_conn_id": "signed_in", "deferrable": True, **settings}
    )


def context_of(task: Any, began_ago: float = 0.0) -> Any:
    context = new_context(task)
    context["ti"].start_date = datetime.now(timezone.utc) - timedelta(seconds=began_ago)
    return context


def deferral(task: Any, context: Any) -> float | None:
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    timeout = deferred.value.timeout
    return None if timeout is None else timeout.total_seconds()


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "began_ago", "expected"),
    [(None, None, 0, None), (100, None, 0, 100), (None, 100, 40, 60), (30, 100, 40, 30), (500, 100, 40, 60)],
)
def test_a_deferral_carries_the_smaller_one(
    sandbox: Sandbox,
    timeout: float | None,
    execution_timeout: float | None,
    began_ago: float,
    expected: float | None,
) -> None:
    limit = None if execution_timeout is None else timedelta(seconds=execution_timeout)
    task = operator(timeout=timeout, execution_timeout=limit)
    carried = deferral(task, context_of(task, began_ago))
    assert carried == (None if expected is None else pytest.approx(expected, abs=5))


def test_so_does_that_of_a_sensor(sandbox: Sandbox) -> None:
    with DinkyHook("signed_in") as hook:
        hook.submit_task(STREAM)
    task = sensor(timeout=500, execution_timeout=timedelta(seconds=100))
    assert deferral(task, context_of(task, 40)) == pytest.approx(60, abs=5)


def test_it_ends_the_task_and_its_job(sandbox: Sandbox, conn_id: str) -> None:
    settings: dict[str, Any] = {"dinky_conn_id": conn_id, "cancel_on_kill": "cancel"}
    task = operator(**settings, execution_timeout=timedelta(seconds=100))
    deferral(task, context := context_of(task))
    fresh = operator(**settings, execution_timeout=timedelta(seconds=100))
    context["ti"].start_date -= timedelta(seconds=100)
    with pytest.raises(
        JobTimeoutError, match="after the execution_timeout of 100 s. Dinky was asked to cancel"
    ):
        fresh.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


@pytest.mark.parametrize(
    ("began_ago", "soft_fail", "expected", "text"),
    [
        (100, False, JobTimeoutError, "not finished after its execution_timeout of 100 s"),
        (0, False, AirflowSensorTimeout, "not finished after the sensor's timeout of 50 s"),
        (100, True, AirflowSkipException, "execution_timeout"),
        (0, True, AirflowSkipException, "sensor's timeout"),
    ],
)
def test_a_sensor_says_which_one_it_was(
    sandbox: Sandbox, began_ago: float, soft_fail: bool, expected: type[Exception], text: str
) -> None:
    with DinkyHook("signed_in") as hook:
        hook.submit_task(STREAM)
    task = sensor(timeout=50, execution_timeout=timedelta(seconds=100), soft_fail=soft_fail)
    with pytest.raises(expected, match=f"job instance 1.* is [A-Z]+ and {text}" if not soft_fail else text):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, context_of(task, began_ago))
