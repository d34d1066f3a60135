# SPDX-License-Identifier: Apache-2.0
"""Starting jobs and waiting for them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

from .live_dinky import LiveDinky, until
from .running import InBackground, Run, Way
from .statements import SELECT_ONLY, UNKNOWN_TABLE, batch, failing, stream


def _submit(way: Way, task_id: int, **kwargs: Any) -> Run:
    return Run(way.of(SubmitTaskOperator, dinky_task_id=task_id, **kwargs))


@pytest.mark.parametrize("way", ["authenticated", "anonymous", "anonymous_flink"], indirect=True)
def test_submit_starts_one_job_and_returns_its_instance(live: LiveDinky, way: Way, deferrable: bool) -> None:
    task = live.task(stream())
    run = _submit(way, task.id, deferrable=deferrable)

    instance = run()

    newest = task.newest()
    assert newest is not None
    assert (instance, run.xcom["job_id"]) == (newest["id"], newest["jid"])
    assert task.running() == [newest["jid"]]
    if way.sees_flink:
        tasks = task.jobs()[0]["tasks"]
        assert tasks["running"] == tasks["total"]


def test_waits_for_the_end_of_a_batch(live: LiveDinky, way: Way, deferrable: bool) -> None:
    task = live.task(batch())

    _submit(way, task.id, wait_for="finished", deferrable=deferrable)()

    assert [job["state"] for job in task.jobs()] == ["FINISHED"]


def test_the_second_try_of_a_run_starts_no_second_job(live: LiveDinky, way: Way) -> None:
    task = live.task(stream())
    run = _submit(way, task.id)
    first = run()
    if way.is_authenticated:
        # Dinky's history proves whose the job is.
        run.store.clear()

    assert run(try_number=2) == first
    assert len(task.jobs()) == 1


def test_variables_reach_the_sql(live: LiveDinky, way: Way) -> None:
    task = live.task(batch("${rows}"))

    _submit(way, task.id, variables={"rows": 10}, wait_for="finished")()

    assert [job["state"] for job in task.jobs()] == ["FINISHED"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (batch("${rows}"), "rows"),
        (SELECT_ONLY, "select"),
        (UNKNOWN_TABLE, "nowhere"),
    ],
    ids=["variable is missing", "select", "unknown table"],
)
def test_a_refusal_starts_nothing_and_names_the_reason(
    live: LiveDinky, way: Way, statement: str, reason: str
) -> None:
    task = live.task(statement)

    with pytest.raises(DinkyTaskError, match=f"(?s)live_{way.name}.*Dinky task {task.id}.*{reason}"):
        _submit(way, task.id)()

    assert task.jobs() == []


@pytest.mark.parametrize("way", ["authenticated", "anonymous", "anonymous_flink"], indirect=True)
def test_a_job_that_fails_fails_the_task_with_its_root_cause(
    live: LiveDinky, way: Way, deferrable: bool
) -> None:
    task = live.task(failing())

    with pytest.raises(JobFailedError, match="FAILED") as failed:
        _submit(way, task.id, wait_for="finished", deferrable=deferrable)()

    assert [job["state"] for job in task.jobs()] == ["FAILED"]
    root = "NumberFormatException" if way.sees_flink else "not available"
    assert root in str(failed.value)


@pytest.mark.parametrize("way", ["authenticated", "anonymous", "anonymous_flink"], indirect=True)
def test_three_runs_at_once_end_with_one_job(live: LiveDinky, way: Way) -> None:
    task = live.task(stream())
    runs = [InBackground(_submit(way, task.id)) for _ in range(3)]

    ended = [_outcome(run) for run in runs]

    errors = [str(error) for error in ended if error is not None]
    assert len(errors) == 2, ended
    # Dinky stops only one job of a task, so an anonymous caller cannot stop one between two others, and says so.
    left = sum("It runs on" in error for error in errors) if not way.sees_flink else 0
    until(lambda: len(task.running()) == 1 + left, message=str(errors))


def _outcome(run: InBackground) -> Exception | None:
    try:
        run.result()
    except Exception as error:
        return error
    return None
