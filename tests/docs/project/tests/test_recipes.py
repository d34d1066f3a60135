# SPDX-License-Identifier: Apache-2.0
"""The other DAGs of this folder do what the documentation says of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from tests.test_dags import run


# --8<-- [start:tasks]
@pytest.fixture
def two_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    tasks = [TaskSpec(1, "orders_blue"), TaskSpec(9, "orders_green")]
    with Sandbox(speed=20, tasks=tasks) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
        yield sandbox


# --8<-- [end:tasks]


SECONDS = 60.0
"""In which whatever is waited for has to be there."""


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def submit(dinky_task_id: int) -> int:
    with DinkyHook() as hook:
        job = hook.submit_task(dinky_task_id).job_instance_id
    assert job is not None
    return job


def start_stream(dinky_task_id: int = 1) -> None:
    job = submit(dinky_task_id)
    with DinkyHook() as hook:
        until(lambda: hook.refresh_job_instance(job).status == JobStatus.RUNNING)


def xcom(dag_run: Any, task_id: str) -> Any:
    return dag_run.get_task_instance(task_id).xcom_pull(task_ids=task_id)


def test_deploy_starts_the_job_and_never_a_second_one(dinky_sandbox: Sandbox) -> None:
    from dags.streaming_deploy import dag

    assert run(dag).state == "success"
    assert run(dag).state == "failed"
    assert [job.state for job in dinky_sandbox.engine.jobs] == ["RUNNING"]


def test_upgrade_resumes_from_the_savepoint_it_took(dinky_sandbox: Sandbox) -> None:
    from dags.upgrade import dag

    start_stream()
    assert run(dag).state == "success"
    old, new = dinky_sandbox.engine.jobs
    assert not old.active
    assert new.state == "RUNNING"
    assert new.resumed_from in old.savepoints


def test_bad_sql_is_found_before_the_job_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    from dags.upgrade import dag

    with Sandbox(speed=20, tasks=[TaskSpec(1, "bad", "rejected", "INSERT INTO nowhere SELEC 1;")]) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
        assert run(dag).state == "failed"
        assert not [one for one in sandbox.requests if one.path.endswith(("submitTask", "restartTask"))]


def test_green_takes_over_from_blue(two_streams: Sandbox) -> None:
    from dags.blue_green import dag

    start_stream()
    assert run(dag).state == "success"
    with DinkyHook() as hook:
        until(lambda: hook.refresh_job_instance(1).status.is_final)
    blue, green = two_streams.engine.jobs
    assert (blue.state, green.state) == ("CANCELED", "RUNNING")
    assert green.resumed_from in blue.savepoints


def test_every_mapped_task_has_its_job(dinky_sandbox: Sandbox) -> None:
    from dags.many_tasks import dag

    for task_id in ("reports", "days"):
        dag.get_task(task_id).partial_kwargs["poll_interval"] = 0.2
    assert run(dag).state == "success"
    done = [(job.task_id, job.variables.get("day"), job.state) for job in dinky_sandbox.engine.jobs]
    assert sorted(done, key=str) == [
        (2, None, "FINISHED"),
        (3, "2026-01-05", "FINISHED"),
        (3, "2026-01-06", "FINISHED"),
        (3, "2026-01-07", "FINISHED"),
    ]


def test_functions_before_and_after_a_job(dinky_sandbox: Sandbox) -> None:
    from dags.taskflow import dag

    assert xcom(run(dag), "report") == "backfill_day is FINISHED"


def test_sensor_waits_for_a_job_of_somebody_else(dinky_sandbox: Sandbox) -> None:
    from dags.wait_for_others import dag

    before = submit(2)
    asked_so_far = len(dinky_sandbox.requests)

    def somebody_else() -> None:
        until(lambda: len(dinky_sandbox.requests) > asked_so_far)
        submit(2)

    thread = threading.Thread(target=somebody_else)
    thread.start()
    dag_run = run(dag)
    thread.join()
    assert dag_run.state == "success"
    assert xcom(dag_run, "newest_so_far") == before
    assert xcom(dag_run, "wait") == before + 1


def test_own_operator_tells_the_state_of_a_failed_job(dinky_sandbox: Sandbox) -> None:
    from dags.own_operator import dag

    assert xcom(run(dag), "follow") == "FAILED"


def test_hook_tells_savepoint_and_tables(dinky_sandbox: Sandbox) -> None:
    from dags.hook_examples import dag

    start_stream()
    with DinkyHook() as hook:
        path = hook.trigger_savepoint(1).path
    dag_run = run(dag)
    assert xcom(dag_run, "newest_savepoint") == path
    assert xcom(dag_run, "tables") == [
        "default_catalog.default_database.orders",
        "default_catalog.default_database.orders_by_customer",
    ]
