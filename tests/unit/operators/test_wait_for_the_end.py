# SPDX-License-Identifier: Apache-2.0
"""A stop is done when the job has ended: Dinky answers before that, and calls it RUNNING for some time after it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dinky.exceptions import DinkyTaskError, JobTimeoutError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import StateStore, execute, first_event, new_context, rebuilt

STREAM = 1
SPEED = 60
ON_THE_SANDBOXS_CLOCK = Pace(lambda: time.time() * SPEED, lambda seconds: time.sleep(seconds / SPEED))


def start(conn_id: str = "signed_in", run_id: str = "start", **kwargs: Any) -> int:
    task = SubmitTaskOperator(
        task_id="start",
        dinky_task_id=STREAM,
        dinky_conn_id=conn_id,
        poll_interval=0.02,
        deferrable=False,
        **kwargs,
    )
    return int(execute(task, new_context(task, run_id=run_id)))


def cancel(**kwargs: Any) -> Any:
    return CancelTaskOperator(task_id="stop", dinky_task_id=STREAM, **kwargs)


def stop(**kwargs: Any) -> Any:
    return SavepointTaskOperator(task_id="stop", dinky_task_id=STREAM, savepoint_type="stop", **kwargs)


def proxys_page(sandbox: Sandbox) -> None:
    """A page of a proxy in the place of the next looks."""
    for path in ("/getJobInstance", "/refreshJobInfoDetail"):
        sandbox.fault("status", path, status=200)


def ended(sandbox: Sandbox) -> None:
    """Wait until Dinky, too, knows that the newest job has ended."""
    with DinkyHook("signed_in") as hook:
        while hook.refresh_job_instance(1).status.is_active:
            time.sleep(0.02)


STOPS = pytest.mark.parametrize(
    "operator",
    [
        pytest.param(cancel, id="cancel"),
        pytest.param(lambda **kwargs: cancel(with_savepoint=True, **kwargs), id="cancel with savepoint"),
        pytest.param(stop, id="stop"),
        pytest.param(
            lambda **kwargs: SavepointTaskOperator(
                task_id="stop", dinky_task_id=STREAM, savepoint_type="cancel", **kwargs
            ),
            id="savepoint and cancel",
        ),
    ],
)


@pytest.fixture
def with_flink(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """An anonymous connection that allows Flink's REST API."""
    extra = {"extra": {"allow_flink_rest": True}}
    connection = json.loads(sandbox.anonymous_airflow_connection) | extra
    monkeypatch.setenv("AIRFLOW_CONN_WITH_FLINK", json.dumps(connection))
    return "with_flink"


class TestStopThenStart:
    @STOPS
    def test_in_one_dag(
        self, sandbox: Sandbox, conn_id: str, deferrable: bool, operator: Callable[..., Any]
    ) -> None:
        start(conn_id)
        sandbox.slow_stop(2)
        task = operator(dinky_conn_id=conn_id, deferrable=deferrable)
        execute(task, new_context(task))
        (stopped,) = sandbox.engine.jobs
        assert stopped.ended is not None

        assert start(conn_id, "again") == 2
        assert [job.active for job in sandbox.engine.jobs] == [False, True]

    def test_as_today_if_told_so(self, sandbox: Sandbox, conn_id: str) -> None:
        start(conn_id)
        sandbox.slow_stop(3600)
        task = cancel(dinky_conn_id=conn_id, wait_for_completion=False)
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].state == "CANCELLING"


class TestTooSlow:
    def test_says_what_was_asked_and_what_still_runs(
        self, sandbox: Sandbox, conn_id: str, deferrable: bool
    ) -> None:
        start(conn_id)
        sandbox.slow_stop(3600)
        task = stop(dinky_conn_id=conn_id, deferrable=deferrable, stop_timeout=0.5)
        context = new_context(task)

        with pytest.raises(JobTimeoutError) as failure:
            execute(task, context)
        (path,) = sandbox.engine.jobs[0].savepoints
        assert "asked to stop job instance 1 of Dinky task 1, which is still" in str(failure.value)
        assert f"after 0.5 s. Its savepoint is {path}" in str(failure.value)
        assert context["ti"].xcom["savepoint_path"] == path

    def test_the_retry_waits_again_and_stops_nothing_again(self, sandbox: Sandbox, conn_id: str) -> None:
        start(conn_id)
        sandbox.slow_stop(30)
        store = StateStore()
        task = stop(dinky_conn_id=conn_id, stop_timeout=0.1, retries=1)
        with pytest.raises(JobTimeoutError):
            task.execute(new_context(task, store=store))
        retry = stop(dinky_conn_id=conn_id, retries=1)

        path = retry.execute(new_context(retry, store=store, try_number=2))
        assert [path] == list(sandbox.engine.jobs[0].savepoints)
        assert sandbox.engine.jobs[0].ended is not None

    def test_a_job_that_was_started_meanwhile_is_not_waited_for(self, sandbox: Sandbox) -> None:
        start()
        store = StateStore()
        task = stop(dinky_conn_id="signed_in", wait_for_completion=False, retries=1)
        task.execute(new_context(task, store=store))
        while sandbox.engine.jobs[0].ended is None:
            time.sleep(0.02)
        start(run_id="somebody else")
        retry = stop(dinky_conn_id="signed_in", retries=1, stop_timeout=5)

        retry.execute(new_context(retry, store=store, try_number=2))
        assert sandbox.engine.jobs[1].active


def test_a_cancel_that_dinky_only_says_was_carried_out_is_no_success(sandbox: Sandbox) -> None:
    start()
    sandbox.fail_cancels()
    task = cancel(dinky_conn_id="signed_in", stop_timeout=1)
    with pytest.raises(JobTimeoutError, match="still RUNNING after 1 s"):
        task.execute(new_context(task))


class TestOutOfReach:
    def test_trouble_while_waiting_is_waited_out(self, sandbox: Sandbox, conn_id: str) -> None:
        start(conn_id)
        sandbox.slow_stop(20)
        task = stop(dinky_conn_id=conn_id)
        pages = [proxys_page] * 2

        def sleep(seconds: float) -> None:
            if pages:
                pages.pop()(sandbox)
            time.sleep(seconds)

        task._pace = lambda: Pace(sleep=sleep)

        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].ended is not None

    def test_trouble_while_deferred_is_waited_out(self, sandbox: Sandbox, conn_id: str) -> None:
        start(conn_id)
        sandbox.slow_stop(20)
        task = stop(dinky_conn_id=conn_id, deferrable=True)
        context = new_context(task)
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context)
        (path,) = sandbox.engine.jobs[0].savepoints
        assert context["ti"].xcom["savepoint_path"] == path, "before the waiting begins"
        proxys_page(sandbox)
        proxys_page(sandbox)

        event = asyncio.run(first_event(rebuilt(deferred.value.trigger)))
        assert event["has_ended"]
        # `airflow dags test` hands over nothing but the event.
        assert task.execute_complete(context, event) == path

    def test_a_deferral_that_timed_out_is_looked_at_once_more(self, sandbox: Sandbox, conn_id: str) -> None:
        start(conn_id)
        task = stop(dinky_conn_id=conn_id, deferrable=True)
        context = new_context(task)
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context)
        ended(sandbox)
        kwargs = deferred.value.kwargs
        timed_out = {"error": "Trigger timeout", "traceback": None, **(kwargs or {})}

        assert task.resume_execution("__fail__", timed_out, context) == sandbox.engine.jobs[0].savepoints[0]

    def test_a_refresh_that_always_fails_is_not_needed(self, sandbox: Sandbox) -> None:
        start()
        failure = json.dumps({"code": 5, "msg": "java.lang.NullPointerException", "success": False})
        sandbox.fault("body", "/refreshJobInfoDetail", body=failure, count=None)
        task = stop(dinky_conn_id="signed_in")
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].ended is not None


class TestUnknown:
    def test_cannot_be_waited_for(
        self, sandbox: Sandbox, conn_id: str, deferrable: bool, logged: Callable[[], str]
    ) -> None:
        start(conn_id)
        sandbox.kill_cluster()
        sandbox.set_status(1, "UNKNOWN")
        with DinkyHook("signed_in") as hook:
            while hook.refresh_job_instance(1).status != "UNKNOWN":
                time.sleep(0.05)
        task = cancel(dinky_conn_id=conn_id, deferrable=deferrable)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        assert execute(task, new_context(task)) is None
        assert "is UNKNOWN, so its end cannot be waited for" in logged()

    def test_of_which_flink_knows_nothing_has_ended(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        start()
        sandbox.kill_cluster()
        sandbox.revive_cluster(jobs_survive=False)
        with DinkyHook("signed_in") as hook:
            while hook.refresh_job_instance(1).status != "UNKNOWN":
                time.sleep(0.05)
        task = cancel(dinky_conn_id="signed_in", with_savepoint=True)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        assert task.execute(new_context(task)) is None
        said = logged()
        assert "Flink does not know job" in said
        assert "has no job to stop" in said
        again = stop(dinky_conn_id="signed_in")
        again._pace = lambda: ON_THE_SANDBOXS_CLOCK
        with pytest.raises(DinkyTaskError, match="has no running job"):
            again.execute(new_context(again))


class TestWhoSaysSo:
    def test_signed_in_dinky_is_made_to_ask(self, sandbox: Sandbox) -> None:
        start()
        sandbox.miss_the_end()
        task = cancel(dinky_conn_id="signed_in", stop_timeout=5)
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].ended is not None

    def test_flink_itself_where_that_is_allowed(self, sandbox: Sandbox, with_flink: str) -> None:
        start()
        sandbox.miss_the_end()
        address = f"127.0.0.1:{sandbox.port}"
        task = cancel(dinky_conn_id=with_flink, job_manager_address=address)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].ended is not None

        blind = cancel(dinky_conn_id=with_flink, stop_timeout=60)
        blind._pace = lambda: ON_THE_SANDBOXS_CLOCK
        with pytest.raises(JobTimeoutError, match="still RUNNING after 60 s"):
            blind.execute(new_context(blind))

    def test_no_refresh_is_forced_where_the_cluster_ends_with_its_job(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start()
        # The sandbox has none but session clusters.
        monkeypatch.setattr("airflow_provider_dinky.operations.stop.is_application", lambda kind: bool(kind))
        seen = len(sandbox.requests)
        task = cancel(dinky_conn_id="signed_in")
        task.execute(new_context(task))
        assert sandbox.engine.jobs[0].ended is not None
        assert not [one for one in sandbox.requests[seen:] if one.path.endswith("/refreshJobInfoDetail")]


class TestOlderJobs:
    """Dinky stops only the newest job of a task."""

    @staticmethod
    def two(sandbox: Sandbox, *, newer_runs: bool) -> None:
        start()
        start(run_id="beside it", if_running="submit")
        if not newer_runs:
            with DinkyHook("signed_in") as hook:
                hook.cancel_task(STREAM)
                while hook.refresh_job_instance(2).status.is_active:
                    time.sleep(0.02)

    @pytest.mark.parametrize("newer_runs", [True, False])
    def test_are_stopped_through_dinky(self, sandbox: Sandbox, deferrable: bool, newer_runs: bool) -> None:
        self.two(sandbox, newer_runs=newer_runs)
        task = cancel(dinky_conn_id="signed_in", deferrable=deferrable)
        execute(task, new_context(task))
        assert [job.state for job in sandbox.engine.jobs] == ["CANCELED", "CANCELED"]

    @pytest.mark.parametrize("newer_runs", [True, False])
    def test_are_named_where_flink_cannot_be_asked(self, sandbox: Sandbox, newer_runs: bool) -> None:
        self.two(sandbox, newer_runs=newer_runs)
        task = cancel(dinky_conn_id="anonymous")
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK
        with pytest.raises(DinkyTaskError, match=r"still has jobs that run: job instance 1 \(RUNNING\)"):
            task.execute(new_context(task))

    def test_are_stopped_in_flink_where_that_is_allowed(self, sandbox: Sandbox, with_flink: str) -> None:
        self.two(sandbox, newer_runs=False)
        task = cancel(dinky_conn_id=with_flink, job_manager_address=f"127.0.0.1:{sandbox.port}")
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK
        task.execute(new_context(task))
        assert not any(job.active for job in sandbox.engine.jobs)

    def test_are_not_stopped_without_the_savepoint_that_was_asked_for(self, sandbox: Sandbox) -> None:
        self.two(sandbox, newer_runs=False)
        task = cancel(dinky_conn_id="signed_in", with_savepoint=True)
        with pytest.raises(DinkyTaskError, match="job instance 1 .*no savepoint of such a job can be taken"):
            task.execute(new_context(task))
        assert sandbox.engine.jobs[0].active
