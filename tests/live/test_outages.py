# SPDX-License-Identifier: Apache-2.0
"""Dinky is killed while tasks wait for their jobs, and comes back."""

from __future__ import annotations

import pytest

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sensors.dinky import JobStatusSensor

from .live_dinky import LiveDinky, LiveTask, Server, until
from .running import InBackground, Run, Way
from .statements import batch, stream

ROWS = 900
"""Of a batch that takes three minutes, which is longer than Dinky is away."""


@pytest.fixture(scope="module")
def waiting(
    live: LiveDinky, ways: dict[str, Way], dinky_server: Server
) -> dict[str, tuple[LiveTask, InBackground]]:
    """Operators and sensors that wait for the end of a batch, each way in; Dinky is killed meanwhile, once for all."""
    found = {}
    for name in ("authenticated", "anonymous"):
        for deferrable in (False, True):
            task = live.task(batch(ROWS))
            how = {"wait_for": "finished", "deferrable": deferrable}
            run = Run(ways[name].of(SubmitTaskOperator, dinky_task_id=task.id, **how))
            found[f"{name}-{'deferred' if deferrable else 'blocking'}"] = (task, InBackground(run))
    for task, _ in found.values():
        until(lambda task=task: task.newest(), 300.0)  # type: ignore[misc]
    dinky_server.stop()
    dinky_server.start()
    return found


@pytest.mark.keep_jobs
@pytest.mark.parametrize(
    "case", ["authenticated-blocking", "authenticated-deferred", "anonymous-blocking", "anonymous-deferred"]
)
def test_a_wait_outlives_a_killed_dinky(waiting: dict[str, tuple[LiveTask, InBackground]], case: str) -> None:
    task, run = waiting[case]

    run.result()

    assert [job["state"] for job in task.jobs()] == ["FINISHED"]


def test_a_submit_just_after_dinky_is_back(live: LiveDinky, way: Way, dinky_server: Server) -> None:
    task = live.task(stream())
    dinky_server.stop()
    dinky_server.start()

    Run(way.of(SubmitTaskOperator, dinky_task_id=task.id))()

    assert len(task.running()) == 1


def test_a_sensor_that_begins_while_dinky_is_away(live: LiveDinky, way: Way, dinky_server: Server) -> None:
    task = live.task(batch(5))
    instance = Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, wait_for="submitted"))()
    dinky_server.stop()
    sensed = InBackground(Run(way.of(JobStatusSensor, job_instance_id=instance)))
    dinky_server.start()

    sensed.result()
