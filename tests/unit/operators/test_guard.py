# SPDX-License-Identifier: Apache-2.0
"""What a start does about the task's other jobs: stale states, UNKNOWN, and jobs behind the newest one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky._compat import AirflowSkipException
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyRefusedError
from airflow_provider_dinky.exceptions import DinkyTaskError, JobRunsAlreadyError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import StateStore, execute, new_context
from tests.unit.operators.test_submit import STREAM, submit, submits


@pytest.fixture
def running(sandbox: Sandbox) -> int:
    task = submit(STREAM)
    return int(execute(task, new_context(task, run_id="other")))


def active(sandbox: Sandbox) -> list[Any]:
    return [job for job in sandbox.engine.jobs if job.ended is None and job.state != "LOST"]


def allow_flink(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """The anonymous connection may ask Flink, too; returns where."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_ANONYMOUS",
        f'{{"conn_type": "dinky", "host": "127.0.0.1", "port": {sandbox.port}, "extra": {{"allow_flink_rest": true}}}}',
    )
    return f"127.0.0.1:{sandbox.port}"


def until_unknown(sandbox: Sandbox, job_instance_id: int) -> None:
    deadline = time.monotonic() + 60
    with DinkyHook("signed_in") as hook:
        while hook.get_job_instance(job_instance_id).status != "UNKNOWN":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def wait_until_its_tasks_run() -> None:
    deadline = time.monotonic() + 20
    with DinkyHook("signed_in") as hook:
        while True:
            newest = hook.get_latest_job_instance(STREAM)
            assert newest is not None
            data = hook.client.send(calls.get_job_info_detail(newest.id)).job_data
            job: Any = data.job if data is not None and data.job is not None else {}
            tasks = [vertex.get("status") for vertex in job.get("vertices") or []]
            if tasks and set(tasks) == {"RUNNING"}:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)


def take_savepoint(sandbox: Sandbox) -> str:
    """A savepoint of the running job, once its tasks run."""
    deadline = time.monotonic() + 20
    with DinkyHook("signed_in") as hook:
        while True:
            try:
                return str(hook.trigger_savepoint(STREAM).path)
            except DinkyRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


class TestStaleRunning:
    """Somebody else has stopped the job, and Dinky still says RUNNING."""

    @pytest.mark.parametrize("if_running", ["fail", "skip", "attach"])
    def test_is_no_active_job(self, sandbox: Sandbox, running: int, conn_id: str, if_running: str) -> None:
        with DinkyHook(conn_id) as hook:
            hook.cancel_task(STREAM)
        task = submit(STREAM, dinky_conn_id=conn_id, if_running=if_running)
        assert execute(task, new_context(task)) > running
        assert len(active(sandbox)) == 1

    def test_where_flink_can_be_asked_nothing_is_waited_for(
        self, sandbox: Sandbox, running: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = allow_flink(sandbox, monkeypatch)
        monkeypatch.setattr("airflow_provider_dinky.operations.concurrent.STATE_LAG", 60.0)
        task = submit(STREAM, dinky_conn_id="anonymous", job_manager_address=address)
        with pytest.raises(JobRunsAlreadyError, match="active job already"):
            execute(task, new_context(task))


class TestUnknown:
    """The cluster was killed; Dinky calls the job UNKNOWN for good."""

    @pytest.fixture
    def unknown(self, sandbox: Sandbox, running: int) -> int:
        take_savepoint(sandbox)
        sandbox.kill_cluster()
        until_unknown(sandbox, running)
        return running

    @pytest.mark.parametrize("if_running", ["fail", "skip", "attach"])
    @pytest.mark.parametrize("conn_id", ["signed_in", "anonymous"])
    def test_that_flink_does_not_know_lets_a_start_through(
        self,
        sandbox: Sandbox,
        unknown: int,
        conn_id: str,
        if_running: str,
        logged: Callable[[], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sandbox.revive_cluster(jobs_survive=False)
        address = allow_flink(sandbox, monkeypatch) if conn_id == "anonymous" else None
        task = submit(STREAM, dinky_conn_id=conn_id, if_running=if_running, job_manager_address=address)
        assert execute(task, new_context(task)) > unknown
        said = logged()
        assert f"Job instance {unknown} of Dinky task {STREAM} is UNKNOWN: Flink does not know job" in said
        assert "A new job is started" in said
        assert "Its newest state is" in said

    @pytest.mark.parametrize("if_running", ["attach", "skip"])
    def test_that_flink_does_not_know_is_brought_back_from_its_state(
        self, sandbox: Sandbox, unknown: int, if_running: str
    ) -> None:
        sandbox.revive_cluster(jobs_survive=False)
        task = submit(STREAM, if_running=if_running, savepoint_path="latest")
        execute(task, new_context(task))
        old, new = sandbox.engine.jobs
        assert new.resumed_from == old.savepoints[-1]

    @pytest.mark.parametrize("if_running", ["fail", "skip", "attach"])
    def test_whose_cluster_is_away_fails_and_names_it(
        self, sandbox: Sandbox, unknown: int, if_running: str, conn_id: str
    ) -> None:
        before = submits(sandbox)
        task = submit(STREAM, dinky_conn_id=conn_id, if_running=if_running)
        error = DinkyTaskError if conn_id == "signed_in" else JobRunsAlreadyError
        with pytest.raises(error, match=f"Job instance {unknown}.*is UNKNOWN.*if_unknown='start'") as failed:
            execute(task, new_context(task))
        if conn_id == "signed_in":
            assert f"check its Flink cluster at 127.0.0.1:{sandbox.port}" in str(failed.value)
        assert submits(sandbox) == before

    def test_whose_cluster_is_back_with_its_jobs_runs(self, sandbox: Sandbox, unknown: int) -> None:
        sandbox.revive_cluster()
        task = submit(STREAM, if_running="skip")
        with pytest.raises(AirflowSkipException, match="active job already"):
            execute(task, new_context(task))

    def test_if_unknown_start(self, sandbox: Sandbox, running: int, logged: Callable[[], str]) -> None:
        sandbox.set_status(running, "UNKNOWN")
        task = submit(STREAM, dinky_conn_id="anonymous", if_unknown="start")
        assert execute(task, new_context(task)) > running
        assert "as if_unknown='start' says" in logged()

    def test_nonsense(self) -> None:
        with pytest.raises(ValueError, match="if_unknown must be one of"):
            submit(STREAM, if_unknown="restart")


class TestAnOlderJobThatRuns:
    """Two were started, and the newer one was cancelled: Dinky calls the task CANCELED."""

    @pytest.fixture
    def older(self, sandbox: Sandbox, running: int) -> int:
        task = submit(STREAM, if_running="submit")
        execute(task, new_context(task, run_id="second"))
        with DinkyHook("signed_in") as hook:
            hook.cancel_task(STREAM)
        return running

    def test_keeps_others_from_starting(self, sandbox: Sandbox, older: int, conn_id: str) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, if_running="skip")
        with pytest.raises(AirflowSkipException, match=f"active job already: job instance {older}, RUNNING"):
            execute(task, new_context(task))

    def test_is_attached_to(self, sandbox: Sandbox, older: int, conn_id: str) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, if_running="attach")
        assert execute(task, new_context(task)) == older

    def test_that_only_flink_names_is_not_attached_to(
        self, sandbox: Sandbox, older: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = allow_flink(sandbox, monkeypatch)
        monkeypatch.setattr("airflow_provider_dinky.operations.concurrent.MAX_LOOKS", 0)
        task = submit(STREAM, dinky_conn_id="anonymous", if_running="attach", job_manager_address=address)
        jid = sandbox.engine.jobs[0].jid
        with pytest.raises(JobRunsAlreadyError, match=f"Flink job {jid} at {address}, RUNNING"):
            execute(task, new_context(task))

    def test_what_was_not_looked_at_is_said_once(
        self, sandbox: Sandbox, older: int, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_dinky.operations.concurrent.MAX_LOOKS", 0)
        task = submit(STREAM, dinky_conn_id="anonymous")
        execute(task, new_context(task))
        assert logged().count("Not looked at, since connection 'anonymous' is anonymous") == 1


class TestKeepRunning:
    """``if_running="attach"`` with ``savepoint_path="latest-state"``: what is down goes on where it was."""

    def keep(self, conn_id: str = "signed_in", **kwargs: Any) -> Any:
        return submit(
            STREAM, dinky_conn_id=conn_id, if_running="attach", savepoint_path="latest-state", **kwargs
        )

    def test_one_that_never_ran_is_started(self, sandbox: Sandbox, conn_id: str) -> None:
        task = self.keep(conn_id)
        execute(task, new_context(task))
        assert sandbox.engine.jobs[0].resumed_from is None

    def test_one_that_failed_goes_on_from_its_state(self, sandbox: Sandbox, running: int) -> None:
        path = take_savepoint(sandbox)
        sandbox.kill_job(sandbox.engine.jobs[0].jid)
        task = self.keep()
        context = new_context(task)
        execute(task, context)
        assert sandbox.engine.jobs[-1].resumed_from == path == context["ti"].xcom["savepoint_path"]

    def test_one_that_finished_is_run_again(self, sandbox: Sandbox, running: int) -> None:
        sandbox.finish_job(sandbox.engine.jobs[0].jid)
        task = self.keep()
        execute(task, new_context(task))
        assert sandbox.engine.jobs[-1].resumed_from is None

    @pytest.mark.parametrize("if_no_state", ["fail", "fresh"])
    def test_where_no_state_is_visible_if_no_state_decides(
        self, sandbox: Sandbox, running: int, if_no_state: str
    ) -> None:
        sandbox.kill_job(sandbox.engine.jobs[0].jid)
        task = self.keep("anonymous", if_no_state=if_no_state)
        if if_no_state == "fail":
            with pytest.raises(DinkyTaskError, match="Nothing was started"):
                execute(task, new_context(task))
        else:
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == (1 if if_no_state == "fail" else 2)


class TestClearedWhileItsJobEnds:
    """A clear stops the job of the try before, and the new try begins while that job is still ending."""

    def cleared(
        self, conn_id: str, monkeypatch: pytest.MonkeyPatch, how: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        store = StateStore()
        task = submit(STREAM, dinky_conn_id=conn_id, cancel_on_kill=how, **kwargs)
        execute(task, new_context(task, store=store))
        if how == "savepoint":
            wait_until_its_tasks_run()
        task.on_kill()
        # What is under test is what the guard does where its own 12 s are not enough.
        monkeypatch.setattr("airflow_provider_dinky.operations.concurrent.STATE_LAG", 0.0)
        again = submit(STREAM, dinky_conn_id=conn_id, cancel_on_kill=how, **kwargs)
        return again, new_context(again, store=store, clears=1)

    def test_waits_for_its_end(self, sandbox: Sandbox, conn_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        task, context = self.cleared(conn_id, monkeypatch, "cancel")
        assert execute(task, context) > 1
        old, new = sandbox.engine.jobs
        assert old.ended is not None
        assert new.ended is None

    def test_goes_on_from_the_savepoint_it_was_stopped_with(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task, context = self.cleared(
            "signed_in", monkeypatch, "savepoint", savepoint_path="latest", if_no_state="fresh"
        )
        execute(task, context)
        old, new = sandbox.engine.jobs
        assert new.resumed_from == old.savepoints[-1]

    def test_says_that_it_does_not_go_on_from_it(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        task, context = self.cleared("signed_in", monkeypatch, "savepoint")
        execute(task, context)
        assert sandbox.engine.jobs[-1].resumed_from is None
        assert "not resume from it, since savepoint_path is None" in logged()

    def test_only_so_long(self, sandbox: Sandbox, conn_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        sandbox.slow_stop(3_600)
        task, context = self.cleared(conn_id, monkeypatch, "cancel", stop_timeout=0.2)
        with pytest.raises(DinkyTaskError, match="active job already: job instance 1"):
            execute(task, context)
        assert len(sandbox.engine.jobs) == 1

    def test_not_for_the_job_of_another_run(
        self, sandbox: Sandbox, running: int, conn_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, cancel_on_kill="cancel", stop_timeout=600)
        with pytest.raises((DinkyTaskError, JobRunsAlreadyError), match="active job already"):
            execute(task, new_context(task, clears=1))


CODE_5 = {
    "body": '{"code": 5, "msg": "Cannot invoke String.trim()", "data": null, "success": false, "time": "now"}',
    "content_type": "application/json",
    "status": 200,
}


@pytest.mark.parametrize("details", [CODE_5, {"body": "<html>", "status": 200}], ids=["code 5", "html"])
def test_a_job_is_attached_to_without_its_details(
    sandbox: Sandbox, running: int, details: dict[str, Any]
) -> None:
    for path in ("/api/jobInstance/getJobInfoDetail", "/api/jobInstance/refreshJobInfoDetail"):
        sandbox.fault("body", path, count=None, **details)
    task = submit(STREAM, if_running="attach", wait_for="submitted")
    assert execute(task, new_context(task)) == running
