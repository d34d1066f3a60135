# SPDX-License-Identifier: Apache-2.0
"""A savepoint carries a job's state over, to the row; without one the job begins again."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import CancelTaskOperator, RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM
from tests.airflow_task import execute, new_context

from .conftest import until
from .orders import rows, sums, wait_for

STREAM = TURNOVER_STREAM
RUNS = itertools.count()
QUICK = {"dinky_task_id": STREAM, "poll_interval": 0.1, "deferrable": False}


def start(**parameters: object) -> int:
    task = SubmitTaskOperator(task_id="start", **QUICK, **parameters)
    return int(execute(task, new_context(task, run_id=f"run{next(RUNS)}")))


def stop(with_savepoint: bool = False) -> str | None:
    task = CancelTaskOperator(task_id="stop", dinky_task_id=STREAM, with_savepoint=with_savepoint)
    path: str | None = execute(task, new_context(task))
    with DinkyHook() as hook:
        until(lambda: (newest := hook.get_latest_job_instance(STREAM)) and newest.status.is_final)
    return path


@pytest.mark.parametrize("method", ["endpoint", "steps"])
def test_sum_goes_on_over_a_restart(sandbox: Sandbox, turnover: Path, method: str) -> None:
    start()
    before = len(wait_for(turnover, 10))
    task = RestartTaskOperator(task_id="restart", method=method, **QUICK)
    execute(task, new_context(task))

    wait_for(turnover, before + 15)

    written = rows(turnover)
    assert written == sums(len(written))
    old, new = sandbox.engine.jobs
    assert (old.active, new.state) == (False, "RUNNING")
    assert new.resumed_from == old.savepoints[-1]


def test_sum_goes_on_from_a_job_that_was_stopped_with_a_savepoint(sandbox: Sandbox, turnover: Path) -> None:
    start()
    wait_for(turnover, 10)
    path = stop(with_savepoint=True)
    # Stop-with-savepoint completes all files: nothing is left to be seen later.
    before = rows(turnover)
    assert before == sums(len(before))
    assert [job.state for job in sandbox.engine.jobs] == ["FINISHED"]

    start(savepoint_path=path)
    wait_for(turnover, len(before) + 10)

    written = rows(turnover)
    assert written == sums(len(written))


def test_sum_begins_again_without_a_savepoint(sandbox: Sandbox, turnover: Path) -> None:
    start()
    wait_for(turnover, 10)
    stop()
    first = len(rows(turnover))

    start()
    both = wait_for(turnover, first + 10)

    again = [(row.amount, row.so_far) for row in both[first:]]
    assert again == sums(len(again))


def test_job_goes_on_after_a_savepoint_that_is_only_taken(sandbox: Sandbox, turnover: Path) -> None:
    start()
    # Flink calls a job RUNNING before its tasks are, and takes no savepoint until then.
    wait_for(turnover, 1)
    with DinkyHook() as hook:
        savepoint = hook.trigger_savepoint(STREAM)
    seen = len(wait_for(turnover, 10))

    assert [job.state for job in sandbox.engine.jobs] == ["RUNNING"]
    assert sandbox.engine.jobs[0].savepoints == (savepoint.path,)
    wait_for(turnover, seen)
    written = rows(turnover)
    assert written == sums(len(written))


def test_bounded_job_with_a_variable_finishes(sandbox: Sandbox) -> None:
    task = SubmitTaskOperator(
        task_id="backfill",
        **{**QUICK, "dinky_task_id": 3},
        variables={"day": "2026-11-22"},
        wait_for="finished",
    )
    execute(task, new_context(task))

    (job,) = sandbox.engine.jobs
    assert (job.name, job.state, job.variables["day"]) == ("backfill_day", "FINISHED", "2026-11-22")
