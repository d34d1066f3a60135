# SPDX-License-Identifier: Apache-2.0
"""Sensors on live jobs, in each of their modes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_dinky._compat import AirflowSkipException
from airflow_provider_dinky.exceptions import JobFailedError
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sensors.dinky import JobStatusSensor

from .live_dinky import LiveDinky, LiveTask
from .running import Run, Way
from .statements import batch, failing

MODES = ("poke", "reschedule", "deferrable")


def _start(way: Way, task: LiveTask) -> Any:
    return Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, wait_for="submitted"))()


def _sense(way: Way, mode: str, **kwargs: Any) -> Any:
    how = {"deferrable": True} if mode == "deferrable" else {"mode": mode, "deferrable": False}
    make = partial(way.of, JobStatusSensor, **how, **kwargs)
    run = Run(make())
    return run.rescheduled(make) if mode == "reschedule" else run()


@pytest.mark.parametrize("mode", MODES)
def test_waits_for_the_end(live: LiveDinky, way: Way, mode: str) -> None:
    task = live.task(batch(30))
    instance = _start(way, task)

    assert _sense(way, mode, job_instance_id=instance) in (instance, None)

    assert [job["state"] for job in task.jobs()] == ["FINISHED"]


@pytest.mark.parametrize("mode", MODES)
def test_waits_for_a_job_newer_than_the_one_before(live: LiveDinky, way: Way, mode: str) -> None:
    task = live.task(batch(5))
    yesterday = Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, wait_for="finished"))()
    today = _start(way, task)

    sensed = _sense(way, mode, dinky_task_id=task.id, newer_than_job_instance_id=yesterday)

    assert sensed in (today, None)
    assert [job["state"] for job in task.jobs()] == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize("soft_fail", [True, False], ids=["soft", "hard"])
@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_fails(live: LiveDinky, way: Way, mode: str, soft_fail: bool) -> None:
    task = live.task(failing())
    instance = _start(way, task)

    with pytest.raises(AirflowSkipException if soft_fail else JobFailedError):
        _sense(way, mode, job_instance_id=instance, soft_fail=soft_fail)

    assert [job["state"] for job in task.jobs()] == ["FAILED"]
