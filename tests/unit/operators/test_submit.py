# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_dinky._compat import AirflowSkipException, TaskDeferralTimeout
from airflow_provider_dinky.exceptions import (
    DinkyTaskError,
    JobFailedError,
    JobRunsAlreadyError,
    JobTimeoutError,
)
from airflow_provider_dinky.operations import concurrent
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.submission import Starter
from tests.airflow_task import StateStore, execute, new_context

STREAM, REPORT, BACKFILL, FAILING, BAD_SQL, PLAIN_SQL, PAYMENTS, BAD_PLAIN_SQL = range(1, 9)


def submit(dinky_task_id: Any, **kwargs: Any) -> SubmitTaskOperator:
    return SubmitTaskOperator(
        **{
            "task_id": "submit",
            "dinky_task_id": dinky_task_id,
            "dinky_conn_id": "signed_in",
            "poll_interval": 0.02,
            "deferrable": False,
            **kwargs,
        }
    )


def submits(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/submitTask") for request in sandbox.requests)


class TestFollowsTheJob:
    def test_until_it_is_finished(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        task = submit(REPORT, dinky_conn_id=conn_id, deferrable=deferrable, wait_for="finished")
        context = new_context(task)

        job_instance_id = execute(task, context)

        (job,) = sandbox.engine.jobs
        assert job.state == "FINISHED"
        xcom = context["ti"].xcom
        assert xcom["job_instance_id"] == job_instance_id
        assert xcom["job_id"] == job.jid
        assert xcom["job_manager_address"] == f"127.0.0.1:{sandbox.port}"
        assert xcom["dinky_job_link"] == f"{sandbox.url}/#/devops/job-detail?id={job_instance_id}"
        assert xcom["flink_job_link"] == f"{sandbox.url}/#/job/{job.jid}/overview"
        json.dumps(xcom)

    def test_until_it_is_up_by_default(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, deferrable=deferrable)

        assert execute(task, new_context(task)) == 1
        assert [job.state for job in sandbox.engine.jobs] == ["RUNNING"]

    def test_not_at_all_if_submitted_is_enough(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, wait_for="submitted", deferrable=True)

        assert task.execute(new_context(task)) == 1
        assert not any("getJobInstance" in r.path and "ByTaskId" not in r.path for r in sandbox.requests)

    def test_and_marks_it_with_the_run(self, sandbox: Sandbox, conn_id: str) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, wait_for="submitted")
        task.execute(new_context(task, run_id="scheduled__2026-11-22", map_index=3, clears=2))

        (job,) = sandbox.engine.jobs
        assert job.variables["airflow_run_key"] == "dag1/scheduled__2026-11-22/submit/3/2"

    def test_with_variables(self, sandbox: Sandbox) -> None:
        task = submit(BACKFILL, variables={"day": "2026-11-22"}, wait_for="finished")
        execute(task, new_context(task))

        (job,) = sandbox.engine.jobs
        assert job.variables["day"] == "2026-11-22"

    def test_templates_every_input_nested_ones_too(self) -> None:
        task = submit(
            "{{ n }}", variables={"a": ["{{ n }}", {"b": "{{ n }}"}]}, savepoint_path="file:/{{ n }}"
        )
        task.render_template_fields({"n": 7})

        assert task.dinky_task_id == "7"
        assert task.variables == {"a": ["7", {"b": "7"}]}
        assert task.savepoint_path == "file:/7"
        assert {"dinky_task_id", "dinky_conn_id", "savepoint_path", "variables"} <= set(task.template_fields)


class TestAfterTheTrigger:
    EVENT: ClassVar[dict[str, Any]] = {"v": 1, "kind": "state", "job_instance_id": 1, "status": "FINISHED"}

    def test_with_nothing_but_the_event_as_airflow_dags_test_does_it(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, wait_for="finished", deferrable=True)
        context = new_context(task)
        with pytest.raises(TaskDeferred):
            task.execute(context)

        fresh = submit(STREAM, wait_for="finished", deferrable=True)
        assert fresh.resume_execution("execute_complete", {"event": self.EVENT}, context) == 1

    def test_a_job_that_nobody_knows_any_more_is_named_by_the_event(self) -> None:
        task = submit(STREAM)
        with pytest.raises(DinkyTaskError, match="'job_instance_id': 1"):
            task.resume_execution("execute_complete", {"event": self.EVENT}, new_context(task))


class TestSaysWhyItFailed:
    def fails(self, conn_id: str, deferrable: bool = False, **kwargs: Any) -> str:
        task = submit(FAILING, dinky_conn_id=conn_id, deferrable=deferrable, wait_for="finished", **kwargs)
        with pytest.raises(JobFailedError) as failure:
            execute(task, new_context(task))
        return str(failure.value)

    def test_signed_in(self, sandbox: Sandbox, deferrable: bool) -> None:
        first, dinky, flink = self.fails("signed_in", deferrable).splitlines()

        assert first == (
            "Job instance 1 of Dinky task 4 is FAILED: java.lang.NumberFormatException: "
            "For input string: 'twelve'. Invalid character found."
        )
        assert dinky == f"Dinky: {sandbox.url}/#/devops/job-detail?id=1"
        assert flink.startswith(f"Flink: {sandbox.url}/#/job/")

    def test_anonymous_says_how_to_learn_it(self, sandbox: Sandbox, deferrable: bool) -> None:
        assert "reason not available: sign in to Dinky, or allow Flink REST" in self.fails(
            "anonymous", deferrable
        )

    def test_anonymous_from_flink_if_allowed(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = json.loads(sandbox.anonymous_airflow_connection)
        monkeypatch.setenv(
            "AIRFLOW_CONN_FLINK", json.dumps({**connection, "extra": {"allow_flink_rest": True}})
        )

        assert "NumberFormatException: For input string: 'twelve'" in self.fails("flink")

    def test_bad_sql(self, sandbox: Sandbox, conn_id: str) -> None:
        task = submit(BAD_SQL, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match=rf"'{conn_id}'.*Dinky task 5: .*Non-query expression"):
            execute(task, new_context(task))
        assert submits(sandbox) == 1

    def test_missing_variable(self, sandbox: Sandbox) -> None:
        task = submit(BACKFILL)
        with pytest.raises(DinkyTaskError, match=r"\$\{day\}.*does not exist"):
            execute(task, new_context(task))

    def test_bad_savepoint_path(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, savepoint_path="/no/such/savepoint")
        with pytest.raises(DinkyTaskError, match="Cannot find checkpoint or savepoint .*/no/such/savepoint"):
            execute(task, new_context(task))

    def test_cluster_that_is_gone(self, sandbox: Sandbox, conn_id: str) -> None:
        sandbox.kill_cluster()
        task = submit(STREAM, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match=rf"'{conn_id}'.*submit of Dinky task 1: Dinky says: "):
            execute(task, new_context(task))
        assert submits(sandbox) == 1
        assert not sandbox.engine.jobs

    def test_unknown_task(self, sandbox: Sandbox, conn_id: str) -> None:
        task = submit(999, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="Dinky task 999: .*Task Not Exist"):
            execute(task, new_context(task))
        assert submits(sandbox) == 0

    @pytest.mark.parametrize("nonsense", ["", "abc", "{{ x }}", "-3", "0", "1.5", None, True, "1; DROP"])
    def test_task_id_that_is_none(self, sandbox: Sandbox, nonsense: Any) -> None:
        task = submit(nonsense)
        with pytest.raises(
            DinkyTaskError, match="'signed_in': dinky_task_id must be a positive whole number"
        ):
            execute(task, new_context(task))
        assert not sandbox.requests

    @pytest.mark.parametrize("nonsense", ["day=1", {"day": datetime(2026, 1, 1)}], ids=str)
    def test_variables_that_are_none(self, sandbox: Sandbox, nonsense: Any) -> None:
        task, store = submit(BACKFILL, variables=nonsense), StateStore()
        with pytest.raises(DinkyTaskError, match=r"'signed_in': .*variable"):
            execute(task, new_context(task, store=store))
        assert not sandbox.requests
        # What nobody has sent, no retry waits for.
        assert not store


class TestPlainSql:
    def test_is_done_when_the_submit_answers(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        task = submit(PLAIN_SQL, dinky_conn_id=conn_id, deferrable=deferrable, wait_for="finished")
        context = new_context(task)

        assert task.execute(context) is None
        result = context["ti"].xcom["result"]
        assert result["columns"] == ["country", "customers"]
        assert result["rows"][0] == {"country": "DE", "customers": "42"}
        assert result["truncated"] is False

    def test_that_was_done_by_an_earlier_try_has_no_rows_in_place_of_those(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        task, store = submit(PLAIN_SQL, retries=1), StateStore()
        task.execute(new_context(task, store=store))
        context = new_context(task, store=store, try_number=2)

        assert task.execute(context) is None
        assert "result" not in context["ti"].xcom
        assert "Its rows are not available any more" in logged()
        assert submits(sandbox) == 1

    def test_rows_up_to_a_limit(self, sandbox: Sandbox) -> None:
        task = submit(PLAIN_SQL, result_limit=1)
        context = new_context(task)
        task.execute(context)

        assert len(context["ti"].xcom["result"]["rows"]) == 1
        assert context["ti"].xcom["result"]["truncated"] is True

    def test_failure(self, sandbox: Sandbox) -> None:
        task = submit(BAD_PLAIN_SQL)
        with pytest.raises(DinkyTaskError, match='relation "does_not_exist" does not exist'):
            task.execute(new_context(task))


class TestIfRunning:
    @pytest.fixture
    def running(self, sandbox: Sandbox) -> int:
        """A job of the stream task that another DAG run has started."""
        task = submit(STREAM, variables={"rows": "1"})
        return int(execute(task, new_context(task, run_id="other")))

    def test_fail_is_the_default(self, sandbox: Sandbox, running: int, conn_id: str) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id)
        # Where nothing is kept and nothing can be proved, a retry could take that job for its own.
        error = DinkyTaskError if conn_id == "signed_in" else JobRunsAlreadyError
        with pytest.raises(error, match=rf"active job already: job instance {running}, RUNNING, since"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

    @pytest.mark.parametrize("if_running", ["fail", "attach"])
    def test_a_job_that_has_ended_without_dinky_noticing_does_not_run(
        self, sandbox: Sandbox, running: int, if_running: str
    ) -> None:
        sandbox.miss_the_end()
        sandbox.finish_job(sandbox.engine.jobs[0].jid)
        sandbox.set_status(running, "RUNNING")
        task = submit(STREAM, if_running=if_running)
        assert execute(task, new_context(task)) > running
        assert len(sandbox.engine.jobs) == 2

    def test_an_attached_job_has_its_place_in_flink(self, sandbox: Sandbox, running: int) -> None:
        task = submit(STREAM, if_running="attach")
        context = new_context(task)
        execute(task, context)
        assert sandbox.engine.jobs[0].jid in context["ti"].xcom["flink_job_link"]

    def test_skip(self, sandbox: Sandbox, running: int) -> None:
        task = submit(STREAM, if_running="skip")
        with pytest.raises(AirflowSkipException, match="active job already"):
            execute(task, new_context(task))

    def test_attach_follows_it(
        self, sandbox: Sandbox, running: int, conn_id: str, logged: Callable[[], str]
    ) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id, if_running="attach", variables={"rows": "2"})

        assert execute(task, new_context(task)) == running
        assert len(sandbox.engine.jobs) == 1
        assert ("other variables" in logged()) is (conn_id == "signed_in")

    def test_submit_another_one(self, sandbox: Sandbox, running: int) -> None:
        task = submit(STREAM, if_running="submit")

        assert execute(task, new_context(task)) > running
        assert [job.state for job in sandbox.engine.jobs] == ["RUNNING", "RUNNING"]

    def test_an_ended_job_does_not_count(self, sandbox: Sandbox, running: int) -> None:
        sandbox.finish_job(sandbox.engine.jobs[0].jid)
        sandbox.set_status(running, "FINISHED")
        task = submit(STREAM)

        assert execute(task, new_context(task)) > running

    def test_nonsense(self) -> None:
        with pytest.raises(ValueError, match="if_running must be one of 'fail', 'skip'"):
            submit(STREAM, if_running="explode")

    def test_restart_is_another_operators_part(self) -> None:
        with pytest.raises(ValueError, match="use RestartTaskOperator"):
            submit(STREAM, if_running="restart")


class TestEarlierTryOfTheSameRun:
    def test_its_job_is_followed(self, sandbox: Sandbox, deferrable: bool) -> None:
        first = submit(STREAM, wait_for="submitted")
        first.execute(new_context(first))
        retry = submit(STREAM, deferrable=deferrable)

        assert execute(retry, new_context(retry)) == 1
        assert len(sandbox.engine.jobs) == 1

    def test_its_finished_job_is_not_run_again(self, sandbox: Sandbox) -> None:
        first = submit(REPORT, wait_for="finished")
        execute(first, new_context(first))
        retry = submit(REPORT, wait_for="finished")

        assert execute(retry, new_context(retry)) == 1
        assert len(sandbox.engine.jobs) == 1

    def test_its_failed_job_is_started_anew(self, sandbox: Sandbox) -> None:
        for expected in (1, 2):
            task = submit(FAILING, wait_for="finished")
            with pytest.raises(JobFailedError, match=f"Job instance {expected} "):
                execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 2

    def test_a_clear_starts_anew(self, sandbox: Sandbox) -> None:
        for clears in (0, 1):
            task = submit(REPORT, wait_for="finished")
            execute(task, new_context(task, clears=clears))
        assert len(sandbox.engine.jobs) == 2

    def test_mapped_tasks_do_not_mix(self, sandbox: Sandbox) -> None:
        for map_index in (0, 1):
            task = submit(REPORT, wait_for="finished")
            execute(task, new_context(task, map_index=map_index))
        assert len(sandbox.engine.jobs) == 2


class TestLostAnswer:
    @pytest.mark.parametrize("kind", ["reset", "status"])
    def test_the_job_is_found_and_not_started_twice(
        self, sandbox: Sandbox, conn_id: str, kind: Any, deferrable: bool
    ) -> None:
        sandbox.fault(kind, "/openapi/submitTask", when="after")
        task = submit(STREAM, dinky_conn_id=conn_id, deferrable=deferrable)

        assert execute(task, new_context(task)) == 1
        assert len(sandbox.engine.jobs) == 1
        assert submits(sandbox) == 1

    def test_a_submit_that_never_arrived_is_not_sent_again(
        self, sandbox: Sandbox, conn_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = json.loads(
            getattr(sandbox, {"signed_in": ""}.get(conn_id, "anonymous_") + "airflow_connection")
        )
        monkeypatch.setenv("AIRFLOW_CONN_HASTY", json.dumps({**connection, "extra": {"submit_timeout": 0.3}}))
        sandbox.fault("reset", "/openapi/submitTask", when="before")
        task = submit(STREAM, dinky_conn_id="hasty")

        with pytest.raises(
            DinkyTaskError, match="not sent again. Look into Dinky whether a job of the task runs"
        ):
            execute(task, new_context(task))
        assert submits(sandbox) == 1


class TestTimeout:
    def late(self, **kwargs: Any) -> str:
        task = submit(STREAM, wait_for="finished", timeout=0.3, **kwargs)
        with pytest.raises(JobTimeoutError) as late:
            execute(task, new_context(task))
        return str(late.value)

    def test_leaves_the_job_by_default_and_says_how_to_stop_it(self, sandbox: Sandbox) -> None:
        text = self.late()
        assert "not finished after 0.3 s" in text
        assert "CancelTaskOperator(dinky_task_id=1)" in text
        assert sandbox.engine.jobs[0].ended is None

    def test_cancels(self, sandbox: Sandbox, conn_id: str) -> None:
        assert "was asked to cancel" in self.late(dinky_conn_id=conn_id, cancel_on_kill="cancel")
        assert sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")

    def test_of_a_deferral(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, wait_for="finished", timeout=60, deferrable=True, cancel_on_kill="cancel")
        context = new_context(task)
        self.defers(task, context)
        fresh = submit(STREAM, wait_for="finished", timeout=60, deferrable=True, cancel_on_kill="cancel")

        with pytest.raises(JobTimeoutError, match="was asked to cancel"):
            fresh.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")

    def test_of_a_deferral_before_there_was_a_job(self) -> None:
        task = submit(STREAM)
        with pytest.raises(TaskDeferralTimeout):
            task.resume_execution("__fail__", {"error": "Trigger timeout"}, new_context(task))

    @staticmethod
    def defers(task: Any, context: Any) -> Any:
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context)
        return deferred.value


class TestKill:
    def killed(self, **kwargs: Any) -> SubmitTaskOperator:
        task = submit(STREAM, **kwargs)
        execute(task, new_context(task))
        task.on_kill()
        return task

    def test_leaves_the_job_by_default(self, sandbox: Sandbox, logged: Callable[[], str]) -> None:
        self.killed()
        assert sandbox.engine.jobs[0].state == "RUNNING"
        assert "left running" in logged()

    @pytest.mark.quirks
    def test_cancels_when_asked(self, sandbox: Sandbox, conn_id: str) -> None:
        self.killed(dinky_conn_id=conn_id, cancel_on_kill="cancel")
        assert sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")

    def test_stops_with_a_savepoint_when_asked(self, sandbox: Sandbox, conn_id: str) -> None:
        self.killed(dinky_conn_id=conn_id, cancel_on_kill="savepoint")
        (job,) = sandbox.engine.jobs
        assert job.savepoints

    def test_leaves_a_job_that_is_not_the_newest_any_more(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        """Signed in it is cancelled in Flink; here it cannot be, and Dinky would cancel another one."""
        task = submit(STREAM, cancel_on_kill="cancel", dinky_conn_id="anonymous")
        execute(task, new_context(task))
        other = submit(STREAM, if_running="submit")
        execute(other, new_context(other, run_id="other"))
        task.on_kill()

        assert [job.state for job in sandbox.engine.jobs] == ["RUNNING", "RUNNING"]
        assert (
            "job instance 1 of Dinky task 1 was not stopped: the current one of its Dinky task is 2"
            in logged()
        )

    def test_cancels_such_a_job_in_flink_where_that_is_allowed(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = {**json.loads(sandbox.airflow_connection), "extra": {"allow_flink_rest": True}}
        monkeypatch.setenv("AIRFLOW_CONN_FLINK", json.dumps(connection))
        task = submit(STREAM, dinky_conn_id="flink", cancel_on_kill="cancel")
        execute(task, new_context(task))
        other = submit(STREAM, if_running="submit")
        execute(other, new_context(other, run_id="other"))
        task.on_kill()

        ours, theirs = sandbox.engine.jobs
        assert ours.state in ("CANCELLING", "CANCELED")
        assert theirs.ended is None

    def test_never_stops_an_attached_job(self, sandbox: Sandbox) -> None:
        other = submit(STREAM)
        execute(other, new_context(other, run_id="other"))
        self.killed(if_running="attach", cancel_on_kill="cancel")

        assert sandbox.engine.jobs[0].state == "RUNNING"

    def test_before_there_is_a_job_does_nothing(self, sandbox: Sandbox) -> None:
        submit(STREAM, cancel_on_kill="cancel").on_kill()
        assert not sandbox.requests

    def test_in_one_request_and_without_a_sign_in_of_its_own(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, cancel_on_kill="cancel")
        execute(task, new_context(task))
        asked = len(sandbox.requests)
        task.on_kill()
        assert [request.path for request in sandbox.requests[asked:]] == ["/api/task", "/api/task/cancel"]

    def test_before_the_submit_starts_nothing(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = submit(STREAM)
        look = concurrent.current_jobs

        def look_and_kill(*args: Any) -> Any:
            task.on_kill()
            return look(*args)

        monkeypatch.setattr(concurrent, "current_jobs", look_and_kill)
        with pytest.raises(DinkyTaskError, match="the task was ended"):
            execute(task, new_context(task))
        assert not sandbox.engine.jobs

    @pytest.mark.parametrize(
        ("how", "states"), [("cancel", ("CANCELLING", "CANCELED")), (None, ("INITIALIZING", "RUNNING"))]
    )
    def test_during_the_submit_counts_for_its_job(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, how: Any, states: tuple[str, ...]
    ) -> None:
        task = submit(STREAM, cancel_on_kill=how)
        real = task._publish

        def kill_and_publish(context: Any, job: Any) -> None:
            followed, task._followed = task._followed, None
            task.on_kill()
            task._followed = followed
            real(context, job)

        monkeypatch.setattr(task, "_publish", kill_and_publish)
        with pytest.raises(DinkyTaskError, match="the task was ended"):
            execute(task, new_context(task))
        (job,) = sandbox.engine.jobs
        assert job.state in states

    def test_ends_the_wait(self, sandbox: Sandbox) -> None:
        task = submit(STREAM, wait_for="finished")
        context = new_context(task)
        push = context["ti"].xcom_push

        def push_and_kill(key: str, value: Any) -> None:
            push(key, value)
            task.on_kill()

        context["ti"].xcom_push = push_and_kill
        with pytest.raises(DinkyTaskError, match="ended while it waited"):
            execute(task, context)


class TestLostSight:
    def test_fails_after_the_time_out(self, sandbox: Sandbox, deferrable: bool) -> None:
        task = submit(
            STREAM, dinky_conn_id="anonymous", deferrable=deferrable, wait_for="finished", unknown_timeout=0.3
        )
        first = submit(STREAM, wait_for="submitted")
        first.execute(new_context(first))
        sandbox.set_status(1, "UNKNOWN")
        task.retries = 1

        # A retry takes it for the job of the try before.
        with pytest.raises(JobFailedError, match="is UNKNOWN: Dinky"):
            execute(task, new_context(task, try_number=2))

    def test_looks_anew_when_signed_in(self, sandbox: Sandbox, deferrable: bool) -> None:
        first = submit(STREAM)
        execute(first, new_context(first))
        sandbox.set_status(1, "UNKNOWN")
        task = submit(STREAM, deferrable=deferrable, if_running="attach", unknown_timeout=5)

        assert execute(task, new_context(task, run_id="other")) == 1

    def test_an_unlisted_state_is_waited_out(self, sandbox: Sandbox) -> None:
        first = submit(STREAM)
        execute(first, new_context(first))
        sandbox.set_status(1, "HIBERNATING")
        task = submit(STREAM, if_running="attach", timeout=0.3, dinky_conn_id="anonymous")

        with pytest.raises(JobTimeoutError, match="is HIBERNATING and not running after"):
            execute(task, new_context(task, run_id="other"))


class TestTwoRunsAtOnce:
    """Two DAG runs that saw no job, and both submit."""

    @pytest.fixture
    def rival(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another run's submit slips in between our look and our submit."""
        start = Starter.start

        def late(starter: Starter, *args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(Starter, "start", start)
            other = submit(STREAM, wait_for="submitted")
            other.execute(new_context(other, run_id="other"))
            return start(starter, *args, **kwargs)

        monkeypatch.setattr(Starter, "start", late)

    def test_the_later_job_gives_way(self, sandbox: Sandbox, rival: None, conn_id: str) -> None:
        task = submit(STREAM, dinky_conn_id=conn_id)

        with pytest.raises(
            AirflowFailException, match="job instance 2.*beside job instance 1.*asked to cancel"
        ):
            execute(task, new_context(task))
        first, second = sandbox.engine.jobs
        assert first.ended is None
        assert second.state in ("CANCELLING", "CANCELED")

    @pytest.fixture
    def named(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of both submits, that of the other one is written into the task's row last."""
        start = Starter.start

        def late(starter: Starter, *args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(Starter, "start", start)
            other = submit(STREAM, wait_for="submitted")
            other.execute(new_context(other, run_id="other"))
            ours = start(starter, *args, **kwargs)
            sandbox.name_job(1)
            return ours

        monkeypatch.setattr(Starter, "start", late)

    @pytest.mark.parametrize("conn_id", ["signed_in", "anonymous_flink"])
    def test_the_later_one_is_cancelled_though_dinky_names_the_earlier_one(
        self, sandbox: Sandbox, named: None, conn_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(
            "AIRFLOW_CONN_ANONYMOUS_FLINK",
            json.dumps(
                {
                    "conn_type": "dinky",
                    "host": "127.0.0.1",
                    "port": sandbox.port,
                    "extra": {"allow_flink_rest": True},
                }
            ),
        )
        task = submit(STREAM, dinky_conn_id=conn_id)

        with pytest.raises(AirflowFailException, match="Flink was asked to cancel job instance 2"):
            execute(task, new_context(task))
        first, second = sandbox.engine.jobs
        assert first.ended is None
        assert second.state in ("CANCELLING", "CANCELED")

    def test_the_later_one_that_runs_on_is_named(self, sandbox: Sandbox, named: None) -> None:
        task = submit(STREAM, dinky_conn_id="anonymous")

        with pytest.raises(AirflowFailException, match="job instance 2.*It runs on, RUNNING") as failed:
            execute(task, new_context(task))
        second = sandbox.engine.jobs[1]
        assert second.state == "RUNNING"
        assert f"Cancel Flink job {second.jid} in Flink" in str(failed.value)

    def test_the_earlier_one_says_that_it_saw_the_other(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        start = Starter.start

        def early(starter: Starter, *args: Any, **kwargs: Any) -> Any:
            result = start(starter, *args, **kwargs)
            monkeypatch.setattr(Starter, "start", start)
            other = submit(STREAM, wait_for="submitted", if_running="submit")
            other.execute(new_context(other, run_id="other"))
            return result

        monkeypatch.setattr(Starter, "start", early)
        task = submit(STREAM)

        assert execute(task, new_context(task)) == 1
        assert "job instance 2" in logged()


def test_xcom_that_cannot_be_written_does_not_lose_the_job(
    sandbox: Sandbox, logged: Callable[[], str]
) -> None:
    task = submit(STREAM)
    context = new_context(task)

    def refuse(key: str, value: Any) -> None:
        raise RuntimeError("the API server is away")

    context["ti"].xcom_push = refuse

    assert execute(task, context) == 1
    assert "the job is followed all the same" in logged()
