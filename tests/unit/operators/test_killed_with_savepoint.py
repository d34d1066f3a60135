# SPDX-License-Identifier: Apache-2.0
"""The savepoint that a job is stopped with when its task is ended is the only way back to its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.exceptions import JobTimeoutError
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import StateStore, execute, new_context

STREAM = 1


def submit(**kwargs: Any) -> SubmitTaskOperator:
    settings: dict[str, Any] = {"poll_interval": 0.02, "deferrable": False, "cancel_on_kill": "savepoint"}
    return SubmitTaskOperator(task_id="start", dinky_task_id=STREAM, **{**settings, **kwargs})


def test_a_killed_task_names_it_and_keeps_it(
    sandbox: Sandbox, conn_id: str, logged: Callable[[], str]
) -> None:
    store = StateStore()
    task = submit(dinky_conn_id=conn_id)
    context = new_context(task, store=store)
    execute(task, context)
    task.on_kill()
    (path,) = sandbox.engine.jobs[0].savepoints

    assert f"asked to stop job instance 1 of Dinky task 1 with a savepoint: {path}" in logged()
    assert context["ti"].xcom["savepoint_path"] == path

    while sandbox.engine.jobs[0].ended is None:
        time.sleep(0.02)
    again = submit(dinky_conn_id=conn_id, savepoint_path="latest")
    execute(again, new_context(again, store=store, clears=1))
    assert sandbox.engine.jobs[-1].resumed_from == path


def test_a_task_that_timed_out_names_it_and_keeps_it(sandbox: Sandbox, conn_id: str) -> None:
    task = submit(dinky_conn_id=conn_id, wait_for="finished", timeout=0.3)
    context = new_context(task, store=StateStore())
    with pytest.raises(JobTimeoutError) as failure:
        execute(task, context)
    (path,) = sandbox.engine.jobs[0].savepoints

    assert path in str(failure.value)
    assert context["ti"].xcom["savepoint_path"] == path


def test_a_clear_does_not_take_that_of_a_job_that_is_not_the_newest(sandbox: Sandbox) -> None:
    store = StateStore()
    task = submit(dinky_conn_id="anonymous")
    execute(task, new_context(task, store=store))
    task.on_kill()
    while sandbox.engine.jobs[0].ended is None:
        time.sleep(0.02)
    other = submit(dinky_conn_id="signed_in", cancel_on_kill=None)
    execute(other, new_context(other, run_id="other"))
    sandbox.kill_job(sandbox.engine.jobs[-1].jid)
    time.sleep(0.4)
    again = submit(dinky_conn_id="anonymous", savepoint_path="latest")
    with pytest.raises(Exception, match="only a signed-in user is told which savepoints there are"):
        execute(again, new_context(again, store=store, clears=1))
