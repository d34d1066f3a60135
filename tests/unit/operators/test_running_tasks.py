# SPDX-License-Identifier: Apache-2.0
"""``wait_for="running"`` means that the job's tasks run: Flink says RUNNING as soon as it schedules them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.exceptions import JobFailedError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import execute, new_context

STREAM = 1
CONNECTIONS = ("signed_in", "rest")


@pytest.fixture
def without_slots(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A cluster without a free slot; the connection ``rest`` is anonymous and may ask Flink."""
    rest = json.loads(sandbox.anonymous_airflow_connection) | {"extra": {"allow_flink_rest": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REST", json.dumps(rest))
    sandbox.free_slots(False)
    return sandbox


def operator(conn_id: str, **settings: Any) -> SubmitTaskOperator:
    return SubmitTaskOperator(
        **{
            "task_id": "t",
            "dinky_task_id": STREAM,
            "dinky_conn_id": conn_id,
            "poll_interval": 0.05,
            "timeout": 30,
            **settings,
        }
    )


def soon(action: Callable[[], Any], when: Callable[[], bool]) -> None:
    """Do something, from another thread, when something else has come about."""

    def wait() -> None:
        deadline = time.monotonic() + 20
        # The sandbox may be gone by then.
        with suppress(Exception):
            while not when() and time.monotonic() < deadline:
                time.sleep(0.02)
            action()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("conn_id", CONNECTIONS)
def test_a_job_without_slots_is_not_up(
    without_slots: Sandbox, conn_id: str, deferrable: bool, logged: Callable[[], str]
) -> None:
    task = operator(conn_id, deferrable=deferrable)
    states: list[str] = []

    def give_slots() -> None:
        states.append(without_slots.engine.jobs[0].state)
        without_slots.free_slots(True)

    soon(give_slots, lambda: bool(without_slots.engine.jobs) and _runs_for(without_slots, 0.5))
    assert execute(task, new_context(task)) == 1
    assert states == ["RUNNING"]
    assert "0 of 1 tasks run of job instance 1" in logged()


def _runs_for(sandbox: Sandbox, seconds: float) -> bool:
    if sandbox.engine.jobs[0].state != "RUNNING":
        return False
    time.sleep(seconds)
    return True


@pytest.mark.parametrize("conn_id", CONNECTIONS)
def test_one_that_never_gets_them_fails_with_flinks_reason(
    without_slots: Sandbox, conn_id: str, deferrable: bool
) -> None:
    task = operator(conn_id, deferrable=deferrable)
    with pytest.raises(JobFailedError, match="too few free task slots"):
        execute(task, new_context(task))


def test_where_they_are_not_visible_running_is_believed(without_slots: Sandbox, deferrable: bool) -> None:
    task = operator("anonymous", deferrable=deferrable)
    assert execute(task, new_context(task)) == 1


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_the_sensor_means_the_same(without_slots: Sandbox, mode: str) -> None:
    with DinkyHook("signed_in") as hook:
        job = hook.submit_task(STREAM).job_instance_id
    task = JobStatusSensor(
        task_id="s",
        job_instance_id=job,
        dinky_conn_id="signed_in",
        wait_for="running",
        poke_interval=0.05,
        deferrable=mode == "deferrable",
    )
    with pytest.raises(JobFailedError, match="too few free task slots"):
        execute(task, new_context(task))


@pytest.mark.parametrize("conn_id", ["signed_in", "anonymous"])
def test_a_job_whose_tasks_run_takes_one_look_more(sandbox: Sandbox, conn_id: str) -> None:
    task = operator(conn_id)
    execute(task, new_context(task))
    details = sum("getJobInfoDetail" in request.path for request in sandbox.requests)
    refreshes = sum("refreshJobInfoDetail" in request.path for request in sandbox.requests)
    assert details <= (1 if conn_id == "signed_in" else 0)
    assert refreshes <= 2


@pytest.fixture
def does_not_fit(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sandbox, str]]:
    """A task whose query does not fit the state of a savepoint: with checkpoints Flink restarts its job for ever."""
    query = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT {} FROM s GROUP BY a;"
    tasks = [
        TaskSpec(1, "before", "streaming", query.format("a, COUNT(*)"), checkpoint_every=10.0),
        TaskSpec(2, "changed", "streaming", query.format("a, COUNT(*), SUM(a)"), checkpoint_every=10.0),
    ]
    with Sandbox(speed=60, seed=1, quirks=False, tasks=tasks) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_SIGNED_IN", sandbox.airflow_connection)
        with DinkyHook("signed_in") as hook:
            hook.submit_task(1)
            path = None
            while path is None:
                with suppress(DinkyError):
                    path = hook.trigger_savepoint(1, "trigger").path
        yield sandbox, path


@pytest.mark.parametrize("wait_for", ["running", "checkpointed"])
def test_a_job_that_is_restarted_again_and_again_fails_with_the_last_reason(
    does_not_fit: tuple[Sandbox, str], deferrable: bool, wait_for: str
) -> None:
    _, path = does_not_fit
    task = operator(
        "signed_in", dinky_task_id=2, savepoint_path=path, deferrable=deferrable, wait_for=wait_for
    )
    with pytest.raises(
        JobFailedError, match="restarted [0-9]+ times before all its tasks ran.*StateMigration"
    ):
        execute(task, new_context(task))
