# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import StateStore, execute, new_context

STREAM = 1


@pytest.fixture
def running(sandbox: Sandbox) -> int:
    """A running job of the stream task."""
    task = SubmitTaskOperator(
        task_id="start",
        dinky_task_id=STREAM,
        dinky_conn_id="signed_in",
        poll_interval=0.02,
        deferrable=False,
    )
    return int(execute(task, new_context(task)))


def cancel(dinky_task_id: Any = STREAM, **kwargs: Any) -> CancelTaskOperator:
    return CancelTaskOperator(task_id="cancel", dinky_task_id=dinky_task_id, **kwargs)


def savepoint(dinky_task_id: Any = STREAM, **kwargs: Any) -> SavepointTaskOperator:
    return SavepointTaskOperator(task_id="savepoint", dinky_task_id=dinky_task_id, **kwargs)


def asked(sandbox: Sandbox, what: str) -> int:
    return sum(request.path.endswith(what) for request in sandbox.requests)


def ended(sandbox: Sandbox) -> None:
    """Wait until Dinky, too, knows that the newest job has ended."""
    with DinkyHook("signed_in") as hook:
        newest = hook.get_latest_job_instance(STREAM)
        while newest is not None and newest.status.is_active:
            time.sleep(0.02)
            newest = hook.refresh_job_instance(newest.id)


class TestCancel:
    def test_cancels(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        task = cancel(dinky_conn_id=conn_id)

        assert task.execute(new_context(task)) is None
        assert sandbox.engine.jobs[0].state == "CANCELED"

    def test_is_idempotent(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        for _ in range(2):
            task = cancel(dinky_conn_id=conn_id)
            task.execute(new_context(task))

    def test_of_a_task_that_never_ran(self, sandbox: Sandbox, conn_id: str) -> None:
        task = cancel(dinky_conn_id=conn_id)
        assert task.execute(new_context(task)) is None
        assert asked(sandbox, "/cancel") == 0

    def test_with_a_savepoint_stops_with_it(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        task = cancel(dinky_conn_id=conn_id, with_savepoint=True)
        context = new_context(task)

        path = task.execute(context)
        (job,) = sandbox.engine.jobs
        assert path == context["ti"].xcom["savepoint_path"] == job.savepoints[-1]
        assert asked(sandbox, "/cancel") == 0, "Dinky's cancel with savepoint drops the state when it fails"

    def test_with_a_savepoint_that_fails_leaves_the_job(
        self, sandbox: Sandbox, running: int, conn_id: str
    ) -> None:
        sandbox.fail_savepoints()
        task = cancel(dinky_conn_id=conn_id, with_savepoint=True)
        with pytest.raises(DinkyTaskError, match="savepoint .stop. of Dinky task 1"):
            task.execute(new_context(task))
        assert sandbox.engine.jobs[0].state == "RUNNING"

    def test_whose_answer_is_lost_says_what_stands(
        self, sandbox: Sandbox, running: int, conn_id: str
    ) -> None:
        sandbox.fault("reset", "/cancel", when="after")
        task = cancel(dinky_conn_id=conn_id, wait_for_completion=False)
        with pytest.raises(DinkyTaskError, match="Job instance 1 is .* now"):
            task.execute(new_context(task))
        assert asked(sandbox, "/cancel") == 1

    def test_whose_answer_is_lost_is_done_when_the_job_has_ended(
        self, sandbox: Sandbox, running: int, conn_id: str
    ) -> None:
        sandbox.fault("reset", "/cancel", when="after")
        task = cancel(dinky_conn_id=conn_id)
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].state == "CANCELED"
        assert asked(sandbox, "/cancel") == 1

    @pytest.mark.parametrize("kept", [True, False], ids=["store", "no store"])
    def test_a_retry_tells_the_savepoint_of_an_earlier_try(
        self, sandbox: Sandbox, running: int, kept: bool
    ) -> None:
        store = StateStore() if kept else None
        first = cancel(dinky_conn_id="signed_in", with_savepoint=True, retries=1)
        path = first.execute(new_context(first, store=store))
        ended(sandbox)
        retry = cancel(dinky_conn_id="signed_in", with_savepoint=True, retries=1)

        assert retry.execute(new_context(retry, store=store, try_number=2)) == path
        assert asked(sandbox, "/task/savepoint") == 1

    def test_a_retry_that_knows_no_savepoint_fails(
        self, sandbox: Sandbox, running: int, conn_id: str
    ) -> None:
        plain = cancel(dinky_conn_id=conn_id)
        plain.execute(new_context(plain))
        ended(sandbox)
        task = cancel(dinky_conn_id=conn_id, with_savepoint=True, retries=1)

        with pytest.raises(DinkyTaskError, match="CANCELED.*find it in Dinky"):
            task.execute(new_context(task, try_number=2))
        assert task.execute(new_context(task)) is None, "a first try has stopped nothing"

    def test_a_savepoint_of_an_earlier_job_is_not_told(self, sandbox: Sandbox, running: int) -> None:
        earlier = savepoint(dinky_conn_id="signed_in", savepoint_type="stop")
        earlier.execute(new_context(earlier))
        ended(sandbox)
        again = SubmitTaskOperator(
            task_id="start", dinky_task_id=STREAM, dinky_conn_id="signed_in", wait_for="submitted"
        )
        execute(again, new_context(again, run_id="again"))
        plain = cancel(dinky_conn_id="signed_in")
        plain.execute(new_context(plain))
        ended(sandbox)
        task = cancel(dinky_conn_id="signed_in", with_savepoint=True, retries=1)

        with pytest.raises(DinkyTaskError, match="job instance 2 is CANCELED.*find it in Dinky"):
            task.execute(new_context(task, try_number=2))

    @pytest.mark.quirks
    def test_on_a_dinky_that_has_just_started(self, sandbox: Sandbox, running: int) -> None:
        sandbox.restart()
        task = cancel(dinky_conn_id="anonymous")
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")

    def test_of_an_unknown_task(self, sandbox: Sandbox, conn_id: str) -> None:
        task = cancel(999, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="Dinky task 999"):
            task.execute(new_context(task))


class TestSavepoint:
    def test_lets_the_job_run_on(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        task = savepoint(dinky_conn_id=conn_id)
        context = new_context(task)

        path = task.execute(context)
        (job,) = sandbox.engine.jobs
        assert job.state == "RUNNING"
        assert path == context["ti"].xcom["savepoint_path"] == job.savepoints[-1]

    @pytest.mark.parametrize("kind", ["stop", "cancel"])
    def test_ends_the_job(self, sandbox: Sandbox, running: int, conn_id: str, kind: Any) -> None:
        task = savepoint(dinky_conn_id=conn_id, savepoint_type=kind)
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].state == ("FINISHED" if kind == "stop" else "CANCELED")
        assert sandbox.engine.jobs[0].savepoints

    @pytest.mark.parametrize("kind", ["stop", "cancel"])
    @pytest.mark.parametrize("kept", [True, False], ids=["store", "no store"])
    def test_a_retry_tells_the_savepoint_that_an_earlier_try_has_stopped_the_job_with(
        self, sandbox: Sandbox, running: int, kind: Any, kept: bool
    ) -> None:
        store = StateStore() if kept else None
        first = savepoint(dinky_conn_id="signed_in", savepoint_type=kind, retries=1)
        path = first.execute(new_context(first, store=store))
        ended(sandbox)
        retry = savepoint(dinky_conn_id="signed_in", savepoint_type=kind, retries=1)

        assert retry.execute(new_context(retry, store=store, try_number=2)) == path
        assert asked(sandbox, "/task/savepoint") == 1

    @pytest.mark.parametrize("kind", ["stop", "cancel"])
    def test_of_a_job_that_has_ended_is_not_even_asked_for(
        self, sandbox: Sandbox, running: int, conn_id: str, kind: Any
    ) -> None:
        plain = cancel(dinky_conn_id=conn_id)
        plain.execute(new_context(plain))
        ended(sandbox)
        task = savepoint(dinky_conn_id=conn_id, savepoint_type=kind)

        with pytest.raises(DinkyTaskError, match="has no running job .*: job instance 1 is CANCELED"):
            task.execute(new_context(task))
        assert asked(sandbox, "/savepoint") == 0

    @pytest.mark.quirks
    def test_on_a_dinky_that_has_just_started(self, sandbox: Sandbox, running: int) -> None:
        sandbox.restart()
        task = savepoint(dinky_conn_id="anonymous")
        assert task.execute(new_context(task)) == sandbox.engine.jobs[0].savepoints[-1]

    def test_whose_answer_is_lost_is_looked_for(self, sandbox: Sandbox, running: int) -> None:
        sandbox.fault("reset", "/savepoint", when="after")
        task = savepoint(dinky_conn_id="signed_in")

        path = task.execute(new_context(task))
        assert [path] == list(sandbox.engine.jobs[0].savepoints)

    def test_whose_answer_is_lost_is_not_asked_for_again(self, sandbox: Sandbox, running: int) -> None:
        sandbox.fault("reset", "/savepoint", when="after")
        task = savepoint(dinky_conn_id="anonymous")
        with pytest.raises(DinkyTaskError, match="Dinky may have carried it out"):
            task.execute(new_context(task))
        assert asked(sandbox, "/savepoint") == 1

    @pytest.mark.parametrize("dinky_task_id", [2, 6])
    def test_of_a_task_without_a_job(self, sandbox: Sandbox, conn_id: str, dinky_task_id: int) -> None:
        task = savepoint(dinky_task_id, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="never ran as a Flink job"):
            task.execute(new_context(task))

    def test_of_a_job_that_has_ended_says_so(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        with DinkyHook("signed_in") as hook:
            hook.cancel_task(STREAM)
        ended(sandbox)
        task = savepoint(dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="has no running job .*: job instance 1 is CANCELED"):
            task.execute(new_context(task))

    def test_of_a_nonsense_type(self, sandbox: Sandbox) -> None:
        task = savepoint(dinky_conn_id="signed_in", savepoint_type="{{ kind }}")
        with pytest.raises(DinkyTaskError, match="savepoint_type must be one of trigger, stop, cancel"):
            task.execute(new_context(task))

    def test_with_the_cluster_gone(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        sandbox.kill_cluster()
        task = savepoint(dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="savepoint .trigger. of Dinky task 1: Dinky says"):
            task.execute(new_context(task))
