# SPDX-License-Identifier: Apache-2.0
"""Whoever waits on a worker waits out an outage of Dinky as a trigger does."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import new_context

REPORT = 2


def impatient(task: Any) -> Any:
    """With a client that gives up at once: its own patience is a minute."""
    hook = DinkyHook("anonymous")
    hook.__dict__["client"] = DinkyClient(hook.config, NO_RETRY)
    task.__dict__["hook"] = hook
    return task


def following() -> Any:
    """A submit that waits for the end of its job."""
    return impatient(
        SubmitTaskOperator(
            task_id="t",
            dinky_task_id=REPORT,
            dinky_conn_id="anonymous",
            wait_for="finished",
            poll_interval=0.02,
        )
    )


def waiting() -> Any:
    """A sensor for a job that something else has started."""
    with DinkyHook("anonymous") as hook:
        job = hook.submit_task(REPORT).job_instance_id
    return impatient(
        JobStatusSensor(task_id="s", job_instance_id=job, dinky_conn_id="anonymous", poke_interval=0.02)
    )


def breaks_off(task: Any, sandbox: Sandbox, count: int | None) -> None:
    """Dinky answers no more once the task has begun to follow its job."""
    sleep = task._sleep

    def fail_then_sleep(how_long: float) -> None:
        task._sleep = sleep
        sandbox.fault("status", "/openapi/getJobInstance", count=count, status=502)
        sleep(how_long)

    task._sleep = fail_then_sleep


def test_an_operator_waits_out_an_outage(sandbox: Sandbox) -> None:
    task = following()
    breaks_off(task, sandbox, count=5)

    assert task.execute(new_context(task)) == 1
    assert sandbox.engine.jobs[0].state == "FINISHED"


def test_an_operator_gives_up_some_day(sandbox: Sandbox) -> None:
    task = following()
    task.max_outage = 0.1
    breaks_off(task, sandbox, count=None)

    with pytest.raises(DinkyTaskError, match="502"):
        task.execute(new_context(task))
    assert len(sandbox.engine.jobs) == 1


def test_a_sensor_waits_out_an_outage(sandbox: Sandbox) -> None:
    task = waiting()
    sandbox.fault("status", "/openapi/getJobInstance", count=5, status=502)

    assert task.execute(new_context(task)) == 1


def test_a_sensor_gives_up_some_day(sandbox: Sandbox) -> None:
    task = waiting()
    task.max_outage = 0.1
    sandbox.fault("status", "/openapi/getJobInstance", count=None, status=502)

    with pytest.raises(DinkyTaskError, match="502"):
        task.execute(new_context(task))
