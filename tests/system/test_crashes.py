# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in a real Airflow, at every moment that matters: afterwards there is one job, and it is followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sandbox.engine import JobRecord

pytestmark = pytest.mark.system

DAGS = Path(__file__).parent / "dags"
SUBMIT, LOOK, STATUS = "/openapi/submitTask", "/openapi/getJobInstanceByTaskId", "/openapi/getJobInstance"
SPEED = 4.0
STREAMING, BOUNDED = (101, 102, 103, 105), (104, 106, 107)
SECONDS = 90.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sql = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT a FROM s;"
    tasks = [TaskSpec(number, f"stream_{number}", "streaming", sql) for number in STREAMING]
    tasks += [TaskSpec(number, f"report_{number}", "bounded", sql, runs_for=60.0) for number in BOUNDED]
    with Sandbox(speed=SPEED, tasks=tasks) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
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
    with LocalAirflow(home, DAGS, environment) as airflow:
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


class Case:
    """One run of one DAG, and what became of it."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, name: str, dinky_task_id: int) -> None:
        self.airflow, self.sandbox, self.dinky_task_id = airflow, sandbox, dinky_task_id
        self.dag_id = f"crash_{name}"
        airflow.api.pause(self.dag_id, False)
        self.run_id = airflow.api.trigger(self.dag_id)

    @property
    def task(self) -> dict[str, Any]:
        found = [t for t in self.airflow.api.task_instances() if t["dag_run_id"] == self.run_id]
        return found[0] if found else {"state": None}

    @property
    def jobs(self) -> list[JobRecord]:
        return [job for job in self.sandbox.engine.jobs if job.task_id == self.dinky_task_id]

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.sandbox.requests)

    def until(self, what: Callable[[], Any], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"{self.dag_id} is {self.task['state']}, jobs {self.jobs}"
            time.sleep(0.1)

    def result(self) -> tuple[int, int]:
        """How many jobs were started, and how many of them the task does not name, once it has succeeded."""
        self.until(lambda: self.task["state"] in ("success", "failed"))
        task = self.task
        assert task["state"] == "success", self.airflow.api.log(task)
        followed = self.airflow.api.xcom(task, "job_id")
        return len(self.jobs), sum(job.jid != followed for job in self.jobs)


def before_the_submit(case: Case) -> None:
    case.until(lambda: case.asked(LOOK))
    assert case.airflow.kill_task()


def during_the_submit(case: Case) -> None:
    case.until(lambda: case.asked(SUBMIT))
    assert not case.jobs
    assert case.airflow.kill_task()


def after_the_submit(case: Case) -> None:
    case.until(lambda: case.jobs)
    assert case.airflow.kill_task()


def while_polling(case: Case) -> None:
    before = case.asked(STATUS)
    case.until(lambda: case.jobs and case.asked(STATUS) > before + 2)
    assert case.airflow.kill_task()


def with_its_supervisor(case: Case) -> None:
    case.until(lambda: case.jobs)
    assert case.airflow.kill_task(with_supervisor=True) > 1


def triggerer_while_deferred(case: Case) -> None:
    case.until(lambda: case.task["state"] == "deferred")
    case.airflow.kill("triggerer")
    case.airflow.revive("triggerer")


def scheduler_while_polling(case: Case) -> None:
    before = case.asked(STATUS)
    case.until(lambda: case.jobs and case.asked(STATUS) > before + 2)
    case.airflow.kill("scheduler")
    case.airflow.revive("scheduler")


CASES: dict[str, tuple[int, Callable[[Case], None], dict[str, Any] | None]] = {
    "before_the_submit": (101, before_the_submit, {"kind": "hang", "path": LOOK}),
    "during_the_submit": (102, during_the_submit, {"kind": "latency", "path": SUBMIT, "seconds": 6 * SPEED}),
    "after_the_submit": (103, after_the_submit, {"kind": "hang", "path": SUBMIT, "when": "after"}),
    "while_polling": (104, while_polling, None),
    "with_its_supervisor": (105, with_its_supervisor, {"kind": "hang", "path": SUBMIT, "when": "after"}),
    "triggerer_while_deferred": (106, triggerer_while_deferred, None),
    "scheduler_while_polling": (107, scheduler_while_polling, None),
}


@pytest.mark.parametrize("name", CASES)
def test_one_job_that_is_followed(
    airflow: LocalAirflow, sandbox: Sandbox, table: dict[str, tuple[int, int]], name: str
) -> None:
    dinky_task_id, dies, fault = CASES[name]
    sandbox.clear_faults()
    if fault is not None:
        sandbox.fault(**fault)
    # What the cases before have asked does not count.
    sandbox._core.requests.clear()
    case = Case(airflow, sandbox, name, dinky_task_id)

    dies(case)
    table[name] = case.result()
    assert table[name] == (1, 0)
