# SPDX-License-Identifier: Apache-2.0
"""What a real Flink does not do is said with Flink's own reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import execute, new_context

from .conftest import TIMING, until
from .orders import rows, sums, wait_for

STREAM, REPORT, FAILING, BAD_SQL = TURNOVER_STREAM, 2, 4, 5
NOT_A_NUMBER = "java.lang.NumberFormatException: For input string: 'twelve'. Invalid character found."


def submit(dinky_task_id: int, **parameters: object) -> SubmitTaskOperator:
    return SubmitTaskOperator(
        **{
            "task_id": "submit",
            "dinky_task_id": dinky_task_id,
            "poll_interval": 0.1,
            "deferrable": False,
            **parameters,
        }
    )


def run(task: object, **context: str) -> object:
    return execute(task, new_context(task, **context))


def test_sql_that_is_none(sandbox: Sandbox) -> None:
    reason = "Non-query expression encountered in illegal context"
    with pytest.raises(DinkyTaskError, match=reason):
        run(submit(BAD_SQL))
    assert sandbox.engine.jobs == ()


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferrable"])
def test_exception_at_run_time(sandbox: Sandbox, deferrable: bool) -> None:
    job = run(submit(FAILING, wait_for="submitted"))
    sensor = JobStatusSensor(
        task_id="wait", job_instance_id=job, deferrable=deferrable, poke_interval=0.1, timeout=60
    )
    with pytest.raises(JobFailedError, match=re.escape(f"is FAILED: {NOT_A_NUMBER}")):
        run(sensor)
    with pytest.raises(JobFailedError, match=re.escape(f"is FAILED: {NOT_A_NUMBER}")):
        run(submit(FAILING, wait_for="finished", deferrable=deferrable), run_id="another")


def test_savepoint_that_is_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(
        DinkyTaskError, match=r"FileNotFoundException: Cannot find checkpoint or savepoint file/directory"
    ):
        run(submit(STREAM, savepoint_path=f"file:{tmp_path}/savepoint-1"))
    assert sandbox.engine.jobs == ()


def test_savepoint_of_another_job(sandbox: Sandbox, turnover: Path) -> None:
    run(submit(STREAM))
    wait_for(turnover, 3)
    with DinkyHook() as hook:
        path = hook.trigger_savepoint(STREAM).path

    with pytest.raises(DinkyTaskError, match="Cannot map checkpoint/savepoint state for operator"):
        run(submit(REPORT, savepoint_path=path))


def test_restart_that_cannot_start_the_new_job_leaves_the_old_one_running_with_its_state(
    sandbox: Sandbox, turnover: Path, tmp_path: Path
) -> None:
    run(submit(STREAM))
    before = len(wait_for(turnover, 5))
    task = RestartTaskOperator(
        task_id="restart",
        dinky_task_id=STREAM,
        savepoint_path=f"file:{tmp_path}/savepoint-1",
        poll_interval=0.1,
        deferrable=False,
    )
    with pytest.raises(DinkyTaskError, match="Cannot find checkpoint or savepoint"):
        run(task)

    wait_for(turnover, before + 10)
    written = rows(turnover)
    assert written == sums(len(written))


def states_of_tasks(flink: FlinkRuntime, jid: str) -> set[str]:
    return {str(task["status"]) for task in flink.rest.ask_blocking(f"/jobs/{jid}")["vertices"]}


def test_savepoint_that_cannot_be_written(flink: FlinkRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = flink.engine(savepoints="file:/proc/nowhere")
    task = TaskSpec(1, "endless", "streaming")
    with Sandbox(engine=nowhere, tasks=[task], timing=TIMING, quirks=False) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.airflow_connection)
        run(submit(1, dinky_conn_id="other"))
        # Flink calls a job RUNNING before its tasks are, and takes no savepoint until then.
        until(lambda: states_of_tasks(flink, nowhere.jobs[0].jid) == {"RUNNING"})
        with (
            DinkyHook("other") as hook,
            pytest.raises(Exception, match=r"/proc/nowhere|Failed to create savepoint directory"),
        ):
            hook.trigger_savepoint(1)
        assert [job.state for job in nowhere.jobs] == ["RUNNING"]
        with DinkyHook("other") as hook:
            hook.cancel_task(1)
        until(lambda: nowhere.jobs[0].state == "CANCELED")


def test_no_slot_left(flink: FlinkRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = flink.engine()
    wide = TaskSpec(
        1,
        "wide",
        "streaming",
        "SET 'parallelism.default' = '99';\n"
        "CREATE TABLE a (n BIGINT) WITH ('connector'='datagen');\n"
        "CREATE TABLE b (n BIGINT) WITH ('connector'='blackhole');\n"
        "INSERT INTO b SELECT n FROM a;",
    )
    with Sandbox(engine=engine, tasks=[wide], timing=TIMING, quirks=False) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.airflow_connection)
        with pytest.raises(
            JobFailedError, match=r"NoResourceAvailableException: Could not acquire the minimum required"
        ):
            run(submit(1, dinky_conn_id="other", wait_for="finished"))


def test_sql_that_starts_nothing(flink: FlinkRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    only_a_table = TaskSpec(
        1, "ddl", "streaming", "CREATE TABLE b (n BIGINT) WITH ('connector'='blackhole');"
    )
    with Sandbox(engine=flink.engine(), tasks=[only_a_table], timing=TIMING, quirks=False) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.airflow_connection)
        with pytest.raises(DinkyTaskError, match="The JobID or JobManagerAddress is null"):
            run(submit(1, dinky_conn_id="other"))
