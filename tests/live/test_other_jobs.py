# SPDX-License-Identifier: Apache-2.0
"""A Dinky task that has a job already, or one that Dinky does not take for the task's own."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky._compat import AirflowSkipException
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    RestartTaskOperator,
    SubmitTaskOperator,
)

from .live_dinky import LiveDinky, LiveTask, until
from .running import Run, Way
from .statements import stream

EACH_WAY = pytest.mark.parametrize("way", ["authenticated", "anonymous", "anonymous_flink"], indirect=True)


def _submit(way: Way, task: LiveTask, **kwargs: Any) -> Run:
    return Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, **kwargs))


@pytest.fixture
def task(live: LiveDinky, ways: dict[str, Way]) -> LiveTask:
    """A stream that runs."""
    task = live.task(stream())
    _submit(ways["authenticated"], task)()
    return task


@pytest.fixture
def behind(task: LiveTask, ways: dict[str, Way]) -> LiveTask:
    """The same: a newer job was started beside it and cancelled, so that Dinky calls the task CANCELED."""
    (older,) = task.running()
    _submit(ways["authenticated"], task, if_running="submit")()
    assert len(task.running()) == 2
    task.live.dinky("GET", f"/api/task/cancel?id={task.id}&withSavePoint=false&forceCancel=true")
    until(lambda: task.running() == [older])
    until(lambda: (task.newest() or {}).get("status") == "CANCELED")
    return task


def test_attach_follows_the_job_that_runs(task: LiveTask, way: Way, deferrable: bool) -> None:
    newest = task.newest()
    assert newest is not None

    assert _submit(way, task, if_running="attach", deferrable=deferrable)() == newest["id"]

    assert len(task.jobs()) == 1


def test_a_job_that_runs_keeps_another_from_starting(task: LiveTask, way: Way) -> None:
    with pytest.raises(DinkyTaskError, match="active job already"):
        _submit(way, task)()
    with pytest.raises(AirflowSkipException):
        _submit(way, task, if_running="skip")()

    assert len(task.jobs()) == 1


@EACH_WAY
@pytest.mark.parametrize("operator", [SubmitTaskOperator, RestartTaskOperator])
def test_nothing_is_started_beside_an_older_job(behind: LiveTask, way: Way, operator: type[Any]) -> None:
    (older,) = behind.running()

    with pytest.raises(DinkyTaskError):
        Run(way.of(operator, dinky_task_id=behind.id))()

    assert behind.running() == [older]


@EACH_WAY
def test_a_cancel_stops_an_older_job_or_names_it(behind: LiveTask, way: Way) -> None:
    (older,) = behind.running()
    cancel = Run(way.of(CancelTaskOperator, dinky_task_id=behind.id))

    if way.is_authenticated or way.flink:
        cancel()
        assert behind.running() == []
    else:
        with pytest.raises(DinkyTaskError, match="job instance"):
            cancel()
        assert behind.running() == [older]
