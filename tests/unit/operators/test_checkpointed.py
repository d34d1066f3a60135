# SPDX-License-Identifier: Apache-2.0
"""Waiting for the first checkpoint of a job, and going back from a new version that does not get that far."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError, JobTimeoutError
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.new_start import NewStart
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sandbox.engine import JobRecord
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger
from tests.airflow_task import StateStore, execute, new_context

STREAM, CHECKPOINTED, WITHOUT = 1, 10, 11
SQL = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT a FROM s;"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox with a job that takes a checkpoint every ten of its seconds, and one that takes none."""
    tasks = [
        TaskSpec(CHECKPOINTED, "stream", "streaming", SQL, checkpoint_every=10.0),
        TaskSpec(WITHOUT, "stream_without", "streaming", SQL),
    ]
    with Sandbox(speed=60, seed=1, quirks=False, tasks=tasks) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_SIGNED_IN", sandbox.airflow_connection)
        flink = json.loads(sandbox.anonymous_airflow_connection) | {"extra": {"allow_flink_rest": True}}
        monkeypatch.setenv("AIRFLOW_CONN_FLINK", json.dumps(flink))
        monkeypatch.setenv("AIRFLOW_CONN_ANONYMOUS", sandbox.anonymous_airflow_connection)
        yield sandbox


def operator(kind: type, dinky_task_id: int = CHECKPOINTED, **settings: Any) -> Any:
    return kind(
        **{
            "task_id": "t",
            "dinky_task_id": dinky_task_id,
            "dinky_conn_id": "signed_in",
            "poll_interval": 0.02,
            "wait_for": "checkpointed",
            "deferrable": False,
            **settings,
        }
    )


def submit(sandbox: Sandbox) -> JobRecord:
    task = operator(SubmitTaskOperator, wait_for="running", task_id="earlier")
    execute(task, new_context(task, run_id="earlier"))
    return sandbox.engine.jobs[-1]


def checkpoints(sandbox: Sandbox, job: JobRecord) -> int:
    counts = requests.get(f"{sandbox.url}/jobs/{job.jid}/checkpoints", timeout=60).json()["counts"]
    return int(counts["completed"])


def restarted_badly(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, how: Callable[[str], None]) -> None:
    """Let the next submit start a job that is not good: ``how`` is done to it at once."""
    engine: Any = sandbox.engine
    real = engine.submit

    async def submit(submission: Any) -> str:
        monkeypatch.setattr(engine, "submit", real)
        jid = str(await real(submission))
        how(jid)
        return jid

    monkeypatch.setattr(engine, "submit", submit)


class TestTheFirstCheckpoint:
    @pytest.mark.parametrize("conn_id", ["signed_in", "flink"])
    def test_is_waited_for(self, sandbox: Sandbox, conn_id: str, deferrable: bool, logged: Any) -> None:
        task = operator(SubmitTaskOperator, dinky_conn_id=conn_id, deferrable=deferrable)
        execute(task, new_context(task))
        (job,) = sandbox.engine.jobs
        assert checkpoints(sandbox, job) >= 1
        assert "First checkpoint of job instance" in logged()

    def test_a_job_that_finishes_needs_none(self, sandbox: Sandbox, deferrable: bool) -> None:
        task = operator(SubmitTaskOperator, WITHOUT, deferrable=deferrable)
        finishing = TaskSpec(WITHOUT, "report", "bounded", SQL, runs_for=1.0)
        sandbox._core.dinky.tasks[WITHOUT] = finishing
        assert execute(task, new_context(task)) is not None

    def test_of_a_job_without_any(self, sandbox: Sandbox, deferrable: bool) -> None:
        task = operator(SubmitTaskOperator, WITHOUT, deferrable=deferrable)
        with pytest.raises(DinkyTaskError, match=r"checkpointing off.*execution\.checkpointing\.interval"):
            execute(task, new_context(task))
        assert sandbox.engine.jobs[0].state == "RUNNING"

    @pytest.mark.parametrize("kind", [SubmitTaskOperator, RestartTaskOperator])
    def test_cannot_be_seen_so_nothing_is_started(self, sandbox: Sandbox, kind: type) -> None:
        task = operator(kind, dinky_conn_id="anonymous")
        with pytest.raises(DinkyTaskError, match="nothing was started.*allow_flink_rest"):
            execute(task, new_context(task))
        assert not sandbox.engine.jobs

    def test_does_not_come_in_time(self, sandbox: Sandbox) -> None:
        sandbox.fail_checkpoints()
        task = operator(SubmitTaskOperator, timeout=0.5)
        with pytest.raises(JobTimeoutError, match=r"is RUNNING and not checkpointed after 0\.5 s"):
            execute(task, new_context(task))
        assert sandbox.engine.jobs[0].state == "RUNNING"

    def test_trouble_on_the_way_is_waited_out(self, sandbox: Sandbox, deferrable: bool) -> None:
        detail = "/api/jobInstance/refreshJobInfoDetail"
        sandbox.fault("status", detail, count=3, status=502)
        sandbox.fault("reset", detail, count=2)
        task = operator(SubmitTaskOperator, deferrable=deferrable)
        execute(task, new_context(task))
        assert checkpoints(sandbox, sandbox.engine.jobs[0]) >= 1


class TestTheWayBack:
    @pytest.mark.parametrize("wait_for", ["running", "checkpointed"])
    @pytest.mark.parametrize("method", ["steps", "endpoint"])
    def test_a_new_job_that_fails(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, deferrable: bool, wait_for: str, method: str
    ) -> None:
        submit(sandbox)
        engine: Any = sandbox.engine
        restarted_badly(
            sandbox, monkeypatch, lambda jid: engine.kill_job(jid, "java.io.IOException: no sink")
        )
        task = operator(RestartTaskOperator, deferrable=deferrable, wait_for=wait_for, method=method)
        with pytest.raises(DinkyTaskError) as caught:
            execute(task, new_context(task, store=StateStore()))

        old, new, back = sandbox.engine.jobs
        assert (old.active, new.state, back.active) == (False, "FAILED", True)
        assert back.resumed_from == old.savepoints[-1]
        said = str(caught.value)
        assert "java.io.IOException: no sink" in said
        assert f"started again from the savepoint just taken, {old.savepoints[-1]}" in said

    def test_a_new_job_without_a_checkpoint_in_time(self, sandbox: Sandbox, deferrable: bool) -> None:
        submit(sandbox)
        sandbox.fail_checkpoints()
        task = operator(RestartTaskOperator, deferrable=deferrable, timeout=1.0, method="steps")
        context = new_context(task, store=StateStore())
        if deferrable:
            with pytest.raises(DinkyTaskError, match="started again from the savepoint"):
                timed_out(task, context)
        else:
            with pytest.raises(DinkyTaskError, match="not checkpointed after 1 s") as caught:
                execute(task, context)
            assert "started again from the savepoint" in str(caught.value)
        old, new, back = sandbox.engine.jobs
        assert (old.active, new.active, back.active) == (False, False, True)
        assert back.resumed_from == old.savepoints[-1]

    def test_a_retry_restarts_anew(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        submit(sandbox)
        engine: Any = sandbox.engine
        restarted_badly(sandbox, monkeypatch, engine.kill_job)
        task, store = operator(RestartTaskOperator, retries=1), StateStore()
        with pytest.raises(DinkyTaskError):
            execute(task, new_context(task, store=store))
        execute(task, new_context(task, store=store, try_number=2))
        *_, back, last = sandbox.engine.jobs
        assert (back.active, last.state, last.resumed_from) == (False, "RUNNING", back.savepoints[-1])

    def test_none_from_a_job_that_somebody_cancelled(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit(sandbox)
        engine: Any = sandbox.engine
        restarted_badly(
            sandbox, monkeypatch, lambda jid: engine._jobs[jid].end(engine._clock.now(), "CANCELED")
        )
        task = operator(RestartTaskOperator)
        with pytest.raises(JobFailedError, match="CANCELED"):
            execute(task, new_context(task, store=StateStore()))
        assert not [job for job in sandbox.engine.jobs if job.active]

    def test_none_from_a_job_that_dinky_lost_sight_of(self, sandbox: Sandbox) -> None:
        submit(sandbox)
        sandbox.fail_checkpoints()
        task = operator(RestartTaskOperator, unknown_timeout=0.2, timeout=30)
        instances = {instance.id for instance in sandbox._core.dinky.store.instances.values()}
        task._poll, poll = None, task._poll

        def lose(context: Any, job: Any, *rest: Any) -> Any:
            assert job.job_instance_id not in instances
            sandbox.kill_cluster()
            sandbox.set_status(job.job_instance_id, "UNKNOWN")
            return poll(context, job, *rest)

        task._poll = lose
        with pytest.raises(JobFailedError, match="lost sight"):
            execute(task, new_context(task, store=StateStore()))
        assert len(sandbox.engine.jobs) == 2

    def test_none_where_somebody_else_has_started_a_job_meanwhile(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = submit(sandbox)
        task = operator(RestartTaskOperator)
        context = new_context(task)
        with task.hook:
            start = NewStart(task.hook, task._starter(context, CHECKPOINTED))
            job = FollowedJob(CHECKPOINTED, 99, started=True, before=1, back_to="file:/sp")
            with pytest.raises(DinkyTaskError, match=r"not rolled back.*savepoint taken before is file:/sp"):
                start.roll_back(job, JobFailedError("it failed"))
        assert [job.jid for job in sandbox.engine.jobs if job.active] == [old.jid]


def timed_out(task: Any, context: Any) -> None:
    """The operator defers, and comes back because the time-out of its deferral is over."""
    with pytest.raises(TaskDeferred):
        task.execute(context)
    fresh = operator(RestartTaskOperator, timeout=1.0, method="steps")
    fresh.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_a_deferred_wait_says_that_it_waits(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("airflow_provider_dinky.jobs.wait_log.HEARTBEAT", 0.1)
    sandbox.fail_checkpoints()
    job = submit(sandbox)
    trigger = JobStatusTrigger(1, "signed_in", "checkpointed", poll_interval=0.02, status="RUNNING")

    async def wait() -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(anext(trigger.run()), 3)

    asyncio.run(wait())
    assert job.state == "RUNNING"
    assert logged().count("State of job instance 1: RUNNING, for ") >= 3
