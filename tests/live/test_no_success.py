# SPDX-License-Identifier: Apache-2.0
"""Jobs that Flink calls RUNNING although their tasks do not run: no free slot, and state that does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky._compat import TaskDeferralTimeout
from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.operators.dinky import (
    RestartTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)

from .live_dinky import LiveDinky, LiveTask
from .running import Run, Way
from .statements import counting_stream, stream

SEEING = pytest.mark.parametrize("way", ["authenticated", "anonymous_flink"], indirect=True)


def _submit(way: Way, task: LiveTask, **kwargs: Any) -> Run:
    return Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, **kwargs))


@SEEING
def test_a_job_without_free_slots_is_not_up(live: LiveDinky, way: Way, deferrable: bool) -> None:
    task = live.task(stream(), parallelism=live.slots() + 1)

    with pytest.raises((JobFailedError, TaskDeferralTimeout)):
        _submit(way, task, timeout=30, cancel_on_kill="cancel", deferrable=deferrable)()

    task.wait_until_ended()


@pytest.fixture
def misfit(live: LiveDinky, ways: dict[str, Way]) -> tuple[LiveTask, str]:
    """A stream that runs, and a savepoint of what it was before it had one more aggregate."""
    task = live.task(counting_stream())
    way = ways["authenticated"]
    _submit(way, task)()
    task.wait_for_rows(task.running()[0])
    if why := live.why_no_savepoints(task):
        pytest.skip(f"this Dinky takes no savepoints: {why}")
    stop = way.of(SavepointTaskOperator, dinky_task_id=task.id, savepoint_type="stop")
    path = str(Run(stop)())
    task.wait_until_ended()
    task.alter(counting_stream(also="MAX(amount)"))
    return task, path


@SEEING
def test_a_start_from_state_that_does_not_fit_fails_with_the_reason(
    misfit: tuple[LiveTask, str], way: Way
) -> None:
    task, path = misfit

    with pytest.raises(JobFailedError, match="StateMigrationException"):
        _submit(way, task, savepoint_path=path, timeout=120, cancel_on_kill="cancel")()


@SEEING
def test_a_restart_from_state_that_does_not_fit_is_rolled_back(
    misfit: tuple[LiveTask, str], way: Way
) -> None:
    task, path = misfit
    _submit(way, task)()
    task.wait_for_rows(task.running()[0])

    with pytest.raises(DinkyTaskError, match="StateMigrationException"):
        Run(way.of(RestartTaskOperator, dinky_task_id=task.id, savepoint_path=path, timeout=120))()

    (back,) = task.running()
    assert task.restored_from(back) not in (None, path)
    task.wait_for_rows(back)
