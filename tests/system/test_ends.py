# SPDX-License-Identifier: Apache-2.0
"""A task that is ended from outside in a real Airflow: its job is stopped only where that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from tests.system.dags.ends import CASES
from tests.system.one_run import OneRun
from tests.system.test_crashes import DAGS

pytestmark = pytest.mark.system

CANCEL = "/api/task/cancel"
LOOKS = {"running": "/openapi/getJobInstance", "deferred": "/openapi/getJobInstance"}
"""What asks for the job: the operator, or the trigger's poll loop."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sql = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT a FROM s;"
    tasks = [TaskSpec(number, f"stream_{number}", "streaming", sql) for number, _ in CASES.values()]
    with Sandbox(speed=4.0, tasks=tasks) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, airflow_database: Path
) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("airflow") / "home"
    environment = {"AIRFLOW_CONN_DINKY_DEFAULT": sandbox.airflow_connection}
    with LocalAirflow(home, DAGS, environment, database=airflow_database) as airflow:
        airflow.start()
        airflow.wait_for_dags({f"end_{case}" for case in CASES})
        with airflow.api:
            yield airflow


@pytest.fixture
def run(airflow: LocalAirflow, sandbox: Sandbox, request: pytest.FixtureRequest) -> OneRun:
    # What the cases before have asked does not count.
    sandbox._core.requests.clear()
    return OneRun(airflow, sandbox, f"end_{request.param}", CASES[request.param][0])


def _is_stopped(run: OneRun) -> bool:
    return bool(run.jobs) and all(job.ended is not None for job in run.jobs)


@pytest.mark.parametrize("run", ["execution_timeout_cancels", "deferral_timeout_cancels"], indirect=True)
def test_a_time_out_stops_the_job_where_asked_for(run: OneRun) -> None:
    assert run.ended()["state"] == "failed"
    run.until(lambda: _is_stopped(run))
    assert (len(run.jobs), run.asked(CANCEL)) == (1, 1)


@pytest.mark.parametrize("run", ["execution_timeout_leaves"], indirect=True)
def test_a_time_out_leaves_the_job_by_default_and_says_so(run: OneRun) -> None:
    task = run.ended()

    assert task["state"] == "failed"
    assert "is left running; stop it in Dinky, or with CancelTaskOperator" in run.airflow.api.log(task)
    assert (len(run.jobs), run.asked(CANCEL)) == (1, 0)
    assert run.jobs[0].active


@pytest.mark.parametrize(
    ("run", "state"), [("user_ends_running", "running"), ("user_ends_deferred", "deferred")], indirect=["run"]
)
def test_a_user_ends_the_task_and_its_job(run: OneRun, state: str) -> None:
    run.until(lambda: run.task["state"] == state)
    # Airflow tells only a trigger that runs; one that is ended before the triggerer has it leaves the job alone.
    seen = run.asked(LOOKS[state])
    run.until(lambda: run.asked(LOOKS[state]) > seen)
    run.airflow.api.end(run.task)

    run.until(lambda: _is_stopped(run))
    assert (len(run.jobs), run.asked(CANCEL)) == (1, 1)


@pytest.mark.parametrize("run", ["user_ends_deferred_leaves"], indirect=True)
def test_a_user_ends_the_task_and_the_job_stays_by_default(run: OneRun) -> None:
    run.until(lambda: run.jobs and run.task["state"] == "deferred")
    seen = run.asked(LOOKS["deferred"])
    run.until(lambda: run.asked(LOOKS["deferred"]) > seen)
    run.airflow.api.end(run.task)
    # The trigger is gone when nobody asks for the job any more: it was the only one.
    run.until(lambda: _is_quiet(run))

    assert run.asked(CANCEL) == 0
    assert run.jobs[0].active


def _is_quiet(run: OneRun) -> bool:
    newest = max(request.time for request in run.sandbox.requests)
    return run.sandbox._core.clock.now() - newest > 20.0
