# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_dinky.client import blocking
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.jobs.wait_log import HEARTBEAT
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sensors import base
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import StateStore, execute, new_context
from tests.unit.sensors.conftest import clock_at

STREAM, REPORT, FAILING = 1, 2, 4


def start(dinky_task_id: int, run_id: str = "run1") -> int:
    task = SubmitTaskOperator(
        task_id="start",
        dinky_task_id=dinky_task_id,
        dinky_conn_id="signed_in",
        wait_for="submitted",
        if_running="submit",
    )
    return int(task.execute(new_context(task, run_id=run_id)))


def sensor(**kwargs: Any) -> JobStatusSensor:
    return JobStatusSensor(
        **{
            "task_id": "wait",
            "dinky_conn_id": "signed_in",
            "poke_interval": 0.02,
            "deferrable": False,
            **kwargs,
        }
    )


class TestByInstance:
    def test_until_it_is_finished(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        job = start(REPORT)
        task = sensor(job_instance_id=job, dinky_conn_id=conn_id, deferrable=deferrable)
        context = new_context(task)

        assert execute(task, context) == job
        assert sandbox.engine.jobs[0].state == "FINISHED"
        assert context["ti"].xcom["dinky_job_link"].endswith(f"id={job}")

    def test_until_it_is_up(self, sandbox: Sandbox, deferrable: bool) -> None:
        task = sensor(job_instance_id=str(start(STREAM)), wait_for="running", deferrable=deferrable)
        assert execute(task, new_context(task)) == 1

    def test_says_why_it_failed(self, sandbox: Sandbox, deferrable: bool) -> None:
        task = sensor(job_instance_id=start(FAILING), deferrable=deferrable)
        with pytest.raises(
            JobFailedError, match="is FAILED: java.lang.NumberFormatException: For input string"
        ):
            execute(task, new_context(task))

    def test_an_unknown_instance(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        task = sensor(job_instance_id=999, dinky_conn_id=conn_id, deferrable=deferrable)
        with pytest.raises(DinkyTaskError, match=f"'{conn_id}'.*job instance 999: .*Not Exist"):
            execute(task, new_context(task))

    @pytest.mark.parametrize("nonsense", ["None", "", "abc", "-1"])
    def test_nonsense(self, sandbox: Sandbox, deferrable: bool, nonsense: str) -> None:
        task = sensor(job_instance_id=nonsense, deferrable=deferrable)
        with pytest.raises(DinkyTaskError, match="job_instance_id must be a positive whole number"):
            execute(task, new_context(task))
        assert not sandbox.requests

    def test_times_out(self, sandbox: Sandbox) -> None:
        task = sensor(job_instance_id=start(STREAM), timeout=0.2)
        with pytest.raises(AirflowSensorTimeout):
            execute(task, new_context(task))

    def test_soft_fail_skips_when_the_deferred_job_failed(self, sandbox: Sandbox) -> None:
        task = sensor(job_instance_id=start(FAILING), deferrable=True, soft_fail=True)
        with pytest.raises(AirflowSkipException):
            execute(task, new_context(task))

    def test_gives_its_time_out_to_the_deferral(self, sandbox: Sandbox) -> None:
        task = sensor(job_instance_id=start(STREAM), deferrable=True, timeout=77)
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(new_context(task))
        assert deferred.value.timeout is not None
        assert deferred.value.timeout.total_seconds() == 77

    def test_asks_once_a_poke_when_rescheduled(self, sandbox: Sandbox, conn_id: str) -> None:
        job = start(STREAM)
        for _ in range(3):
            before = len(sandbox.requests)
            # Between two pokes there is another process, which remembers nothing.
            task = sensor(job_instance_id=job, mode="reschedule", dinky_conn_id=conn_id)

            assert task.poke(new_context(task)) is False
            assert len(sandbox.requests) == before + 1


class TestByTask:
    def test_never_takes_yesterdays_job_for_todays(self, sandbox: Sandbox, deferrable: bool) -> None:
        yesterday = start(REPORT)
        finished = sensor(job_instance_id=yesterday)
        execute(finished, new_context(finished))
        today = start(REPORT, run_id="today")
        task = sensor(dinky_task_id=REPORT, newer_than_job_instance_id=yesterday, deferrable=deferrable)

        assert execute(task, new_context(task)) == today
        assert sandbox.engine.jobs[-1].state == "FINISHED"

    def test_waits_for_a_job_that_is_not_there_yet(self, sandbox: Sandbox) -> None:
        task = sensor(dinky_task_id=REPORT, newer_than_job_instance_id=0)
        context = new_context(task)

        assert task.poke(context) is False
        job = start(REPORT)
        assert execute(task, context) == job

    def test_asks_once_a_poke_when_rescheduled(self, sandbox: Sandbox, conn_id: str) -> None:
        for _ in range(2):
            before = len(sandbox.requests)
            task = sensor(
                dinky_task_id=STREAM, newer_than_job_instance_id=0, mode="reschedule", dinky_conn_id=conn_id
            )

            assert task.poke(new_context(task)) is False
            assert len(sandbox.requests) == before + 1
            start(STREAM)

    def test_stays_with_the_job_it_has_seen(self, sandbox: Sandbox) -> None:
        first = start(STREAM)
        task = sensor(dinky_task_id=STREAM, newer_than_job_instance_id=0)
        context = new_context(task)
        task.poke(context)
        start(STREAM, run_id="second")
        sandbox.finish_job(sandbox.engine.jobs[0].jid)

        assert execute(task, context) == first

    def test_defers_with_the_task_while_there_is_no_job(self, sandbox: Sandbox) -> None:
        task = sensor(dinky_task_id=REPORT, newer_than_job_instance_id=None or 0, deferrable=True)
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(new_context(task))
        kwargs = deferred.value.trigger.serialize()[1]
        assert (kwargs["job_instance_id"], kwargs["dinky_task_id"]) == (None, REPORT)

    def test_a_task_that_never_ran_has_no_newest_job(self, sandbox: Sandbox) -> None:
        job = start(REPORT)
        task = sensor(dinky_task_id=REPORT, newer_than_job_instance_id="None")
        assert execute(task, new_context(task)) == job

    def test_an_unknown_task(self, sandbox: Sandbox, conn_id: str) -> None:
        task = sensor(dinky_task_id=999, newer_than_job_instance_id=0, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="Dinky task 999: .*Task Not Exist"):
            execute(task, new_context(task))


class TestLogWhenRescheduled:
    """Between two pokes there is another process; what the log says already is in Airflow's store, or nowhere."""

    STATES = ("RESTARTING", "RESTARTING", "RUNNING", "RUNNING", "RUNNING")

    def pokes(self, store: StateStore | None, try_number: int = 1, **kwargs: Any) -> None:
        task = sensor(mode="reschedule", dinky_conn_id="anonymous", retries=3, **kwargs)
        assert task.poke(new_context(task, store=store, try_number=try_number)) is False

    def test_a_line_a_change(self, sandbox: Sandbox, logged: Callable[[], str]) -> None:
        store, job = StateStore(), start(STREAM)
        for status in self.STATES:
            sandbox.set_status(job, status)
            self.pokes(store, job_instance_id=job)
        said = logged()

        assert said.count("Waiting for finished of job instance") == 1
        assert said.count(f"State of job instance {job} of Dinky task {STREAM}: RESTARTING") == 1
        assert said.count(f"State of job instance {job} of Dinky task {STREAM}: RUNNING") == 1

    def test_a_line_now_and_then_while_nothing_changes(
        self, sandbox: Sandbox, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, job, begun = StateStore(), start(STREAM), time.time()
        sandbox.set_status(job, "RUNNING")
        for later in (0, HEARTBEAT - 60, HEARTBEAT + 60, HEARTBEAT + 120, 2 * HEARTBEAT + 120):
            monkeypatch.setattr(base, "time", clock_at(begun + later))
            self.pokes(store, job_instance_id=job)
        said = logged()

        assert said.count(f"Dinky task {STREAM}: RUNNING") == 3
        assert f"RUNNING, for {HEARTBEAT + 60:.0f} s now" in said
        assert f"RUNNING, for {2 * HEARTBEAT + 120:.0f} s now" in said

    def test_a_job_that_is_not_there_is_missed_once(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        store = StateStore()
        for _ in range(3):
            self.pokes(store, dinky_task_id=STREAM, newer_than_job_instance_id=0)
        job = start(STREAM)
        self.pokes(store, dinky_task_id=STREAM, newer_than_job_instance_id=0)
        said = logged()

        assert said.count("is not there yet") == 1
        assert said.count(f"Waiting for finished of job instance {job}") == 1

    def test_an_outage_is_said_and_so_is_what_comes_after_it(
        self, sandbox: Sandbox, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)
        store, job, begun = StateStore(), start(STREAM), time.time()
        sandbox.set_status(job, "RUNNING")
        for later in (0, 40, 80, 120):
            monkeypatch.setattr(base, "time", clock_at(begun + later))
            sandbox.fault("status", "getJobInstance", status=502)
            self.pokes(store, job_instance_id=job)
        self.pokes(store, job_instance_id=job)
        said = logged()

        assert said.count("No answer for 80 s, trying on: connection 'anonymous'") == 1
        assert said.count("Dinky answers again") == 1
        assert said.count(f"Dinky task {STREAM}: RUNNING") == 1

    def test_an_outage_that_is_too_long_fails_the_poke(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)
        store, job, begun = StateStore(), start(STREAM), time.time()
        self.pokes(store, job_instance_id=job)
        sandbox.fault("body", "getJobInstance", count=None, body="<html>a proxy")
        for later in (600, 1_700):
            monkeypatch.setattr(base, "time", clock_at(begun + later))
            self.pokes(store, job_instance_id=job)
        monkeypatch.setattr(base, "time", clock_at(begun + 1_900))
        with pytest.raises(DinkyTaskError, match="no answer for 1[89]00 s: .*a proxy"):
            self.pokes(store, job_instance_id=job)

    def test_each_try_has_a_log_of_its_own(self, sandbox: Sandbox, logged: Callable[[], str]) -> None:
        store, job = StateStore(), start(STREAM)
        sandbox.set_status(job, "RUNNING")
        for try_number in (1, 1, 2, 2):
            self.pokes(store, try_number, job_instance_id=job)

        assert logged().count(f"Dinky task {STREAM}: RUNNING") == 2

    def test_at_most_one_line_a_poke_where_nothing_is_kept(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        job = start(STREAM)
        for status in self.STATES:
            sandbox.set_status(job, status)
            self.pokes(None, job_instance_id=job)
        said = logged()

        assert said.count(f"State of job instance {job}") == len(self.STATES)
        assert "Waiting for" not in said

    def test_a_store_that_fails_costs_lines_and_not_the_poke(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        class Broken(StateStore):
            def get(self, *_: Any) -> Any:
                raise RuntimeError("no store today")

            def set(self, *_: Any, **__: Any) -> None:
                raise RuntimeError("no store today")

        job = start(STREAM)
        sandbox.set_status(job, "RUNNING")
        self.pokes(Broken(), job_instance_id=job)
        self.pokes(StateStore(dinky_said=["of another version"]), job_instance_id=job)
        assert logged().count(f"Dinky task {STREAM}: RUNNING") == 2

    def test_the_link_is_there_after_each_poke(self, sandbox: Sandbox) -> None:
        store, job = StateStore(), start(STREAM)
        for _ in range(2):
            # Airflow deletes the XComs of a task that it starts once more.
            task = sensor(mode="reschedule", job_instance_id=job)
            context = new_context(task, store=store)
            task.poke(context)
            assert context["ti"].xcom["dinky_job_link"].endswith(f"id={job}")


class TestParameters:
    def test_one_of_both(self) -> None:
        with pytest.raises(ValueError, match="either job_instance_id or dinky_task_id"):
            sensor()
        with pytest.raises(ValueError, match="either job_instance_id or dinky_task_id"):
            sensor(job_instance_id=1, dinky_task_id=1)

    def test_a_task_needs_the_job_that_is_not_meant(self) -> None:
        with pytest.raises(ValueError, match="newer_than_job_instance_id"):
            sensor(dinky_task_id=1)

    def test_wait_for(self) -> None:
        with pytest.raises(ValueError, match="wait_for must be one of 'running', 'finished'"):
            sensor(job_instance_id=1, wait_for="submitted")


class TestOutOfSight:
    def test_fails_after_the_time_out(self, sandbox: Sandbox, deferrable: bool) -> None:
        job = start(STREAM)
        sandbox.set_status(job, "UNKNOWN")
        task = sensor(
            job_instance_id=job, dinky_conn_id="anonymous", unknown_timeout=0.2, deferrable=deferrable
        )
        with pytest.raises(JobFailedError, match="UNKNOWN: Dinky lost sight"):
            execute(task, new_context(task))

    def test_an_ended_job_that_dinky_missed_is_found_when_signed_in(
        self, sandbox: Sandbox, deferrable: bool
    ) -> None:
        job = start(REPORT)
        sandbox.finish_job(sandbox.engine.jobs[0].jid)
        sandbox.set_status(job, "UNKNOWN")
        task = sensor(job_instance_id=job, deferrable=deferrable)

        assert execute(task, new_context(task)) == job
