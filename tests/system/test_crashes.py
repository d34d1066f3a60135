# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in a real Airflow, at every moment that matters: afterwards there is one job, and it is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from tests.system.one_run import OneRun

pytestmark = pytest.mark.system

DAGS = Path(__file__).parent / "dags"
SUBMIT, LOOK, STATUS = "/openapi/submitTask", "/openapi/getJobInstanceByTaskId", "/openapi/getJobInstance"
SPEED = 4.0
ESSENTIAL = "after_the_submit"
"""The death that is died also where not everything is run: the job is there, and nobody has heard of it."""
STREAMING, BOUNDED = (101, 102, 103, 105), (104, 106, 107)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sql = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT a FROM s;"
    tasks = [TaskSpec(number, f"stream_{number}", "streaming", sql) for number in STREAMING]
    tasks += [TaskSpec(number, f"report_{number}", "bounded", sql, runs_for=60.0) for number in BOUNDED]
    with Sandbox(speed=SPEED, tasks=tasks) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, airflow_database: Path
) -> Iterator[LocalAirflow]:
    environment = {
        "AIRFLOW_CONN_DINKY_DEFAULT": sandbox.airflow_connection,
        # A task whose supervisor died with it is noticed by its missing heartbeat: within seconds, not 5 minutes.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "6",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    }
    home = tmp_path_factory.mktemp("airflow") / "home"
    with LocalAirflow(home, DAGS, environment, database=airflow_database) as airflow:
        airflow.start()
        airflow.wait_for_dags({f"crash_{case}" for case in CASES})
        with airflow.api:
            yield airflow


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[int, int]]]:
    """Jobs started, and jobs nobody follows, by case; shown at the end."""
    rows: dict[str, tuple[int, int]] = {}
    yield rows
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.write_line("\n\nSIGKILL                     jobs started  left unfollowed")
        for name, (started, unfollowed) in rows.items():
            terminal.write_line(f"{name:<30}{started:>10}{unfollowed:>17}")


def before_the_submit(case: OneRun) -> None:
    case.until(lambda: case.asked(LOOK))
    assert case.airflow.kill_task()


def during_the_submit(case: OneRun) -> None:
    case.until(lambda: case.asked(SUBMIT))
    assert not case.jobs
    assert case.airflow.kill_task()


def after_the_submit(case: OneRun) -> None:
    case.until(lambda: case.jobs)
    assert case.airflow.kill_task()


def while_polling(case: OneRun) -> None:
    before = case.asked(STATUS)
    case.until(lambda: case.jobs and case.asked(STATUS) > before + 2)
    assert case.airflow.kill_task()


def with_its_supervisor(case: OneRun) -> None:
    case.until(lambda: case.jobs)
    assert case.airflow.kill_task(with_supervisor=True) > 1


def triggerer_while_deferred(case: OneRun) -> None:
    case.until(lambda: case.task["state"] == "deferred")
    case.airflow.kill("triggerer")
    case.airflow.revive("triggerer")


def scheduler_while_polling(case: OneRun) -> None:
    before = case.asked(STATUS)
    case.until(lambda: case.jobs and case.asked(STATUS) > before + 2)
    case.airflow.kill("scheduler")
    case.airflow.revive("scheduler")


CASES: dict[str, tuple[int, Callable[[OneRun], None], dict[str, Any] | None]] = {
    "before_the_submit": (101, before_the_submit, {"kind": "hang", "path": LOOK}),
    "during_the_submit": (102, during_the_submit, {"kind": "latency", "path": SUBMIT, "seconds": 6 * SPEED}),
    "after_the_submit": (103, after_the_submit, {"kind": "hang", "path": SUBMIT, "when": "after"}),
    "while_polling": (104, while_polling, None),
    "with_its_supervisor": (105, with_its_supervisor, {"kind": "hang", "path": SUBMIT, "when": "after"}),
    "triggerer_while_deferred": (106, triggerer_while_deferred, None),
    "scheduler_while_polling": (107, scheduler_while_polling, None),
}


def _result(case: OneRun) -> tuple[int, int]:
    """How many jobs were started, and how many of them the task does not name, once it has succeeded."""
    task = case.ended()
    assert task["state"] == "success", case.airflow.api.log(task)
    followed = case.airflow.api.xcom(task, "job_id")
    return len(case.jobs), sum(job.jid != followed for job in case.jobs)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.essential] if name == ESSENTIAL else []) for name in CASES],
)
def test_one_job_that_is_followed(
    airflow: LocalAirflow, sandbox: Sandbox, table: dict[str, tuple[int, int]], name: str
) -> None:
    dinky_task_id, dies, fault = CASES[name]
    sandbox.clear_faults()
    if fault is not None:
        sandbox.fault(**fault)
    # What the cases before have asked does not count.
    sandbox._core.requests.clear()
    case = OneRun(airflow, sandbox, f"crash_{name}", dinky_task_id)

    dies(case)
    table[name] = _result(case)
    assert table[name] == (1, 0)
