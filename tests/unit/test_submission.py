# SPDX-License-Identifier: Apache-2.0
"""A submit whose answer is lost: exactly one job, and its right id; or an error that says what to look at."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client.errors import AmbiguousSubmitError, DinkyRefusedError
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.timing import Timing
from tests.airflow_task import StateStore, new_context
from tests.sandboxed import conn_id, logged, sandbox

__all__ = ["conn_id", "logged", "sandbox"]

STREAM, BAD_SQL, PLAIN = 1, 5, 6
PATH = "/openapi/submitTask"


@pytest.fixture
def connect(
    sandbox: Sandbox, conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., DinkyHook]]:
    """Makes hooks, signed in and then anonymous, that wait so many seconds for a submit."""
    hooks: list[DinkyHook] = []

    def make(patience: float, of: Sandbox = sandbox) -> DinkyHook:
        connection = of.airflow_connection if conn_id == "signed_in" else of.anonymous_airflow_connection
        extra = {"submit_timeout": patience}
        monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({**json.loads(connection), "extra": extra}))
        hooks.append(DinkyHook("c1"))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


@pytest.fixture
def hook(connect: Callable[..., DinkyHook]) -> DinkyHook:
    """A hook that has time."""
    return connect(10)


@pytest.fixture
def hasty(connect: Callable[..., DinkyHook]) -> DinkyHook:
    """A hook that waits 0.2 s for a submit, and looks as long for its job."""
    return connect(0.2)


def submits(sandbox: Sandbox) -> int:
    return sum(request.path == PATH for request in sandbox.requests)


LOST: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset"},
    "no answer": {"kind": "hang"},
    "502": {"kind": "status"},
    "no JSON": {"kind": "body", "body": "<html>"},
    "cut JSON": {"kind": "body", "body": '{"data": {"jobInst'},
    "another host": {"kind": "redirect", "location": "http://dinky.invalid/"},
}


@pytest.mark.parametrize("how", LOST)
def test_the_answer_is_lost_after_the_server_acted(
    sandbox: Sandbox, connect: Callable[..., DinkyHook], how: str
) -> None:
    hook = connect(0.5 if how == "no answer" else 10)
    hook.submit_task(STREAM)
    sandbox.fault(path=PATH, when="after", **LOST[how])
    result = hook.submit_task(STREAM, variables={"day": "1"})
    first, second = sandbox.engine.jobs
    assert result.job_id == second.jid != first.jid
    assert result.job_instance_id == 2
    assert second.variables["day"] == "1"
    assert submits(sandbox) == 2


@pytest.mark.parametrize("how", ["reset", "no answer", "502"])
def test_the_request_is_lost_before_the_server_acted(sandbox: Sandbox, hasty: DinkyHook, how: str) -> None:
    sandbox.fault(path=PATH, when="before", **LOST[how])
    with pytest.raises(AmbiguousSubmitError) as caught:
        hasty.submit_task(STREAM, "s3://sp/1", run_key="d/r/t")
    assert list(sandbox.engine.jobs) == []
    assert submits(sandbox) == 1
    said = str(caught.value)
    assert "connection 'c1'" in said
    assert "submit of Dinky task 1" in said
    assert "It was not sent again" in said
    assert "Look into Dinky whether a job of the task runs before you start one" in said
    assert "It was to resume from s3://sp/1" in said
    sign = (
        "no mark airflow_run_key='d/r/t' in the task's history"
        if hasty.config.has_credentials
        else "no job instance of the task newer than none"
    )
    assert sign in said
    assert caught.value.outcome_unknown


def test_the_job_appears_only_after_the_client_gave_up(connect: Callable[..., DinkyHook]) -> None:
    with Sandbox(speed=60, seed=1, timing=Timing(first_submit=36)) as slow:  # 0.6 s of ours
        result = connect(0.4, slow).submit_task(STREAM)
        (job,) = slow.engine.jobs
        assert result.job_id == job.jid
        assert submits(slow) == 1


def test_dinky_restarts_before_it_can_be_asked(sandbox: Sandbox, connect: Callable[..., DinkyHook]) -> None:
    sandbox.fault("hang", PATH, when="after")
    restart = threading.Timer(0.1, lambda: sandbox.restart(down_for=20))
    restart.start()
    result = connect(0.5).submit_task(STREAM)
    restart.join()
    (job,) = sandbox.engine.jobs
    assert result.job_id == job.jid
    assert submits(sandbox) == 1


def test_dinky_is_down_when_the_submit_is_to_be_sent(sandbox: Sandbox, hook: DinkyHook) -> None:
    hook.get_version()
    back = threading.Thread(target=lambda: sandbox.restart(down_for=20))
    back.start()
    deadline = time.monotonic() + 60
    while not sandbox._core.is_down:
        assert time.monotonic() < deadline
    result = hook.submit_task(STREAM)
    back.join()
    (job,) = sandbox.engine.jobs
    assert result.job_id == job.jid


def test_somebody_else_submits_meanwhile(sandbox: Sandbox, connect: Callable[..., DinkyHook]) -> None:
    """Signed in, the mark tells which job is ours; anonymous, a newer job is only most likely ours."""
    sandbox.fault("reset", PATH, when="before")
    ours = connect(2)
    with DinkyHook("signed_in") as other:

        def submit_after_ours() -> None:
            while not any(request.path == PATH for request in sandbox.requests):
                time.sleep(0.01)
            other.submit_task(STREAM)

        meanwhile = threading.Thread(target=submit_after_ours)
        meanwhile.start()
        if ours.config.has_credentials:
            with pytest.raises(AmbiguousSubmitError):
                ours.submit_task(STREAM)
        else:
            assert ours.submit_task(STREAM).job_instance_id == 1
        meanwhile.join()
    assert len(sandbox.engine.jobs) == 1


def test_the_lost_answer_was_a_refusal(sandbox: Sandbox, hasty: DinkyHook) -> None:
    sandbox.fault("reset", PATH, when="after")
    kind: type[Exception] = DinkyRefusedError if hasty.config.has_credentials else AmbiguousSubmitError
    with pytest.raises(kind) as caught:
        hasty.submit_task(BAD_SQL)
    if hasty.config.has_credentials:
        assert "Dinky's history says: Exception in executing FlinkSQL" in str(caught.value)
    assert list(sandbox.engine.jobs) == []


def test_the_lost_answer_was_of_plain_sql(sandbox: Sandbox, hasty: DinkyHook) -> None:
    """Plain SQL leaves no trace in Dinky: whether it ran is for a person to find out."""
    sandbox.fault("reset", PATH, when="after")
    with pytest.raises(AmbiguousSubmitError):
        hasty.submit_task(PLAIN)
    assert submits(sandbox) == 1


def test_what_is_refused_is_neither_looked_for_nor_sent_again(sandbox: Sandbox, hook: DinkyHook) -> None:
    with pytest.raises(DinkyRefusedError):
        hook.submit_task(BAD_SQL)
    assert [request.path for request in sandbox.requests][-1] == PATH


GAVE_UP = "java.util.concurrent.TimeoutException: Timed out waiting for the job"


def answer(**fields: Any) -> dict[str, Any]:
    """An answer of Dinky's own in the place of the submit's."""
    body = {"data": None, "code": 0, "msg": "", "time": "2026-11-27 10:00:00", "success": True, **fields}
    return {"kind": "body", "status": 200, "content_type": "application/json", "body": json.dumps(body)}


@pytest.mark.parametrize("code", [1, 5])
def test_a_refusal_by_time_out_leaves_a_job_that_is_found(
    sandbox: Sandbox, hook: DinkyHook, code: int, logged: Callable[[], str]
) -> None:
    sandbox.fault(path=PATH, when="after", **answer(code=code, msg=GAVE_UP, success=False))
    assert hook.submit_task(STREAM).job_id == sandbox.engine.jobs[0].jid
    assert submits(sandbox) == 1
    assert "did not wait any longer for the job" in logged()


def test_a_refusal_by_time_out_without_a_job_is_no_refusal(sandbox: Sandbox, hasty: DinkyHook) -> None:
    sandbox.fault(path=PATH, **answer(code=1, msg=GAVE_UP, success=False))
    with pytest.raises(AmbiguousSubmitError, match="which may come up later, and within 0.2 s no sign"):
        hasty.submit_task(STREAM)
    assert submits(sandbox) == 1


def without_instance(job_id: str | None) -> dict[str, Any]:
    return answer(
        data={"id": 1, "jobInstanceId": None, "jobId": job_id, "success": True, "status": "SUCCESS"}
    )


class TestAnswerWithoutAJobInstance:
    """Dinky says that it worked, and names no job instance that could be followed."""

    def test_the_instance_of_the_job_is_looked_for(self, sandbox: Sandbox, hook: DinkyHook) -> None:
        with Sandbox(speed=60, seed=1, quirks=False) as same, DinkyHook("c1") as other:
            other.__dict__["config"] = replace(hook.config, base_url=same.url)
            job_id = str(other.submit_task(STREAM).job_id)
        sandbox.fault(path=PATH, when="after", **without_instance(job_id))
        found = hook.submit_task(STREAM)
        assert sandbox.engine.jobs[0].jid == job_id
        assert (found.job_id, found.job_instance_id) == (job_id, 1)

    def test_one_of_another_job_is_not_taken_for_it(
        self, sandbox: Sandbox, hasty: DinkyHook, conn_id: str
    ) -> None:
        if conn_id == "signed_in":
            pytest.skip("the run key proves it there")
        sandbox.fault(path=PATH, when="after", **without_instance("f" * 32))
        with pytest.raises(AmbiguousSubmitError, match=f"answered the submit with Flink job {'f' * 32}, but"):
            hasty.submit_task(STREAM)

    def test_of_a_task_in_flink_sql_is_no_success(
        self, sandbox: Sandbox, hasty: DinkyHook, conn_id: str
    ) -> None:
        if conn_id == "anonymous":
            pytest.skip("the dialect is not visible")
        sandbox.fault(path=PATH, **without_instance(None))
        with pytest.raises(AmbiguousSubmitError, match="without a job instance"):
            hasty.submit_task(STREAM)

    def test_is_never_written_down_as_started(self, sandbox: Sandbox, hasty: DinkyHook) -> None:
        sandbox.fault(path=PATH, **without_instance("f" * 32))
        store = StateStore()
        task = SubmitTaskOperator(task_id="submit", dinky_task_id=STREAM, dinky_conn_id="c1", retries=3)
        with pytest.raises(DinkyTaskError, match="without a job instance"):
            task.execute(new_context(task, store=store))
        (entry,) = (one for one in store.values() if isinstance(one, dict) and "step" in one)
        assert entry["step"] == "submit"

        entry["patience"] = 0.0
        with pytest.raises(DinkyTaskError, match="of which Dinky has no job instance"):
            task.execute(new_context(task, try_number=2, store=store))
        assert submits(sandbox) == 1


def test_a_lost_answer_is_said(sandbox: Sandbox, hook: DinkyHook, logged: Callable[[], str]) -> None:
    sandbox.fault("reset", PATH, when="after")
    hook.submit_task(STREAM)
    said = logged()
    assert "The answer of the submit was lost; looking for its job" in said
    if not hook.config.has_credentials:
        assert "most likely" in said
        assert "Sign in to Dinky to have this proved instead of inferred" in said


class TestAnonymousRetryThatKnowsNothing:
    """Before Airflow 3.3: nothing is kept, and Dinky shows no history. What runs may be anybody's."""

    @pytest.fixture
    def retry(self, sandbox: Sandbox) -> Callable[..., tuple[SubmitTaskOperator, Any]]:
        other = SubmitTaskOperator(
            task_id="other", dinky_task_id=STREAM, dinky_conn_id="signed_in", poll_interval=0.1
        )
        other.execute(new_context(other))

        def make(**kwargs: Any) -> tuple[SubmitTaskOperator, Any]:
            task = SubmitTaskOperator(
                task_id="submit",
                dinky_task_id=STREAM,
                dinky_conn_id="anonymous",
                retries=1,
                cancel_on_kill="cancel",
                poll_interval=0.1,
                deferrable=False,
                **kwargs,
            )
            return task, new_context(task, try_number=2)

        return make

    @pytest.mark.parametrize("if_running", ["fail", "skip", "attach"])
    def test_never_stops_the_job_it_takes_for_its_own(
        self, sandbox: Sandbox, retry: Any, if_running: str
    ) -> None:
        task, context = retry(if_running=if_running)
        assert task.execute(context) == 1
        task.on_kill()

        assert context["ti"].xcom["followed_job"]["started"] is False
        assert [job.state for job in sandbox.engine.jobs] == ["RUNNING"]

    def test_submits_beside_what_runs_if_that_is_what_it_is_to_do(self, sandbox: Sandbox, retry: Any) -> None:
        task, context = retry(if_running="submit")

        assert task.execute(context) == 2
        assert context["ti"].xcom["followed_job"]["started"] is True
