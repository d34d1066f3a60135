# SPDX-License-Identifier: Apache-2.0
"""The verbs of the hook against a sandbox, signed in and anonymous, and what they say when something is wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client import calls, wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkySignInError,
)
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.hooks.dinky import DinkyHook, checked_id
from airflow_provider_dinky.sandbox import Sandbox
from tests.servers import LOCALHOST, Reply, Request, TinyServer, envelope, free_port, hang

STREAM, FAILING, PLAIN = 1, 4, 6
WITH_DAY = 3
SECRET = "hunter22-secret"
Connections = Callable[..., DinkyHook]


@pytest.fixture
def hook(sandbox: Sandbox, conn_id: str) -> Iterator[DinkyHook]:
    """A hook, signed in and then anonymous."""
    with DinkyHook(conn_id) as hook:
        yield hook


@pytest.fixture
def signed_in(sandbox: Sandbox) -> Iterator[DinkyHook]:
    with DinkyHook("signed_in") as hook:
        yield hook


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connections]:
    """Makes hooks of the connection ``c1`` as given."""
    hooks: list[DinkyHook] = []

    def make(url: str, **fields: Any) -> DinkyHook:
        monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": "dinky", "host": url, **fields}))
        hooks.append(DinkyHook("c1"))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


def wait_for(hook: DinkyHook, job_instance_id: int | None, *statuses: JobStatus) -> None:
    assert job_instance_id is not None
    deadline = time.monotonic() + 60
    while hook.get_job_instance(job_instance_id).status not in statuses:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(hook: DinkyHook) -> SubmitResult:
    result = hook.submit_task(STREAM)
    wait_for(hook, result.job_instance_id, JobStatus.RUNNING)
    return result


# Verbs


def test_version(hook: DinkyHook) -> None:
    assert hook.get_version() == "1.1.0"


def test_submit_and_look_at_the_job(hook: DinkyHook, sandbox: Sandbox) -> None:
    assert hook.get_latest_job_instance(STREAM) is None
    result = hook.submit_task(STREAM)
    (job,) = sandbox.engine.jobs
    assert result.job_id == job.jid
    instance = hook.get_latest_job_instance(STREAM)
    assert instance is not None
    assert result.job_instance_id == instance.id == hook.get_job_instance(instance.id).id
    assert hook.refresh_job_instance(instance.id).job_id == job.jid


def test_submit_with_variables_and_a_path(hook: DinkyHook, sandbox: Sandbox) -> None:
    running(hook)
    path = hook.trigger_savepoint(STREAM).path
    hook.cancel_task(STREAM)
    hook.submit_task(STREAM, path, {"day": "1"}, run_key="d/r/t")
    job = sandbox.engine.jobs[-1]
    assert job.resumed_from == path
    assert job.variables == {"day": "1", "airflow_run_key": "d/r/t"}


def test_each_submit_has_a_mark_of_its_own(hook: DinkyHook, sandbox: Sandbox) -> None:
    for _ in range(2):
        hook.submit_task(STREAM)
    marks = {job.variables["airflow_run_key"] for job in sandbox.engine.jobs}
    assert len(marks) == 2
    assert all(mark.startswith("hook/") for mark in marks)


def test_submit_of_plain_sql(hook: DinkyHook) -> None:
    result = hook.submit_task(PLAIN)
    assert result.is_plain_sql
    assert result.result is not None
    assert result.result.row_data == (
        {"country": "DE", "customers": "42"},
        {"country": "FR", "customers": "17"},
    )
    assert hook.get_latest_job_instance(PLAIN) is None


def test_submit_without_a_variable(hook: DinkyHook, sandbox: Sandbox) -> None:
    with pytest.raises(DinkyRefusedError, match=r"\$\{day\}\" does not exist"):
        hook.submit_task(WITH_DAY)
    assert list(sandbox.engine.jobs) == []


def test_restart(hook: DinkyHook, sandbox: Sandbox) -> None:
    before = running(hook)
    result = hook.restart_task(STREAM)
    assert result.job_instance_id != before.job_instance_id
    old, new = sandbox.engine.jobs
    assert not old.active
    assert new.active
    assert new.resumed_from == result.savepoint_path == old.savepoints[0]


def test_restart_from_a_path(hook: DinkyHook, sandbox: Sandbox) -> None:
    running(hook)
    path = hook.trigger_savepoint(STREAM).path
    assert hook.restart_task(STREAM, path).savepoint_path == path


def test_cancel(hook: DinkyHook, sandbox: Sandbox) -> None:
    result = running(hook)
    assert hook.cancel_task(STREAM) is None
    wait_for(hook, result.job_instance_id, JobStatus.CANCELED)
    assert hook.cancel_task(STREAM) is None


def test_stop_with_a_savepoint(hook: DinkyHook, sandbox: Sandbox) -> None:
    result = running(hook)
    path = hook.cancel_task(STREAM, with_savepoint=True)
    wait_for(hook, result.job_instance_id, JobStatus.FINISHED)
    assert sandbox.engine.jobs[0].savepoints == (path,)


@pytest.mark.parametrize(("kind", "runs_on"), [("trigger", True), ("stop", False), ("cancel", False)])
def test_savepoint(hook: DinkyHook, sandbox: Sandbox, kind: Any, runs_on: bool) -> None:
    running(hook)
    result = hook.trigger_savepoint(STREAM, kind)
    (job,) = sandbox.engine.jobs
    assert (result.path, result.job_id) == (job.savepoints[0], job.jid)
    time.sleep(0.05)
    assert sandbox.engine.jobs[0].active is runs_on


def test_savepoint_of_a_kind_that_there_is_not(hook: DinkyHook, sandbox: Sandbox) -> None:
    with pytest.raises(
        DinkyConfigError, match="savepoint_type must be one of trigger, stop, cancel, not 'nonsense'"
    ):
        hook.trigger_savepoint(STREAM, "nonsense")  # type: ignore[arg-type]
    assert sandbox.requests == []


def test_savepoint_that_fails(hook: DinkyHook, sandbox: Sandbox) -> None:
    running(hook)
    sandbox.fail_savepoints()
    with pytest.raises(DinkyRefusedError, match=r"savepoint \(trigger\) of Dinky task 1"):
        hook.trigger_savepoint(STREAM)


def test_savepoint_without_a_path_is_none(connection: Connections) -> None:
    answer = {"jobInfos": None, "exceptionMsg": "E: the 'password' = 'other99' is wrong", "success": False}

    def respond(request: Request) -> Reply:
        return envelope(answer) if request.path == "/openapi/savepoint" else envelope()

    with TinyServer(respond) as server:
        hook = connection(server.url)
        with pytest.raises(DinkyRefusedError) as caught:
            hook.trigger_savepoint(STREAM)
    assert caught.value.reason == "E: the 'password' = '***' is wrong"


def test_savepoints_that_dinky_remembers(signed_in: DinkyHook) -> None:
    running(signed_in)
    paths = [signed_in.trigger_savepoint(STREAM).path for _ in range(2)]
    assert [savepoint.path for savepoint in signed_in.list_savepoints(STREAM)] == paths[::-1]


def test_savepoints_that_dinky_remembers_need_credentials(sandbox: Sandbox) -> None:
    with DinkyHook("anonymous") as hook, pytest.raises(DinkySignInError, match="connection 'anonymous'"):
        hook.list_savepoints(STREAM)


def test_sql(hook: DinkyHook) -> None:
    assert "INSERT INTO orders_by_customer" in hook.export_sql(STREAM)
    statements = hook.explain_sql(STREAM)
    assert statements
    assert all(statement.error is None for statement in statements)
    (bad,) = hook.explain_sql(STREAM, "INSERT INTO nowhere SELEC 1")
    assert (
        bad.reason
        == "org.apache.calcite.runtime.CalciteException: Non-query expression encountered in illegal context"
    )


def test_what_cannot_be_used_is_not_sent(hook: DinkyHook, sandbox: Sandbox) -> None:
    # A submit is never sent again, so one that Dinky cannot read would be looked for for minutes.
    nonsense: Any = ["s3://savepoints/1"]
    for method, arguments in (
        (hook.submit_task, (STREAM, nonsense)),
        (hook.submit_task, (STREAM, None, nonsense)),
        (hook.restart_task, (STREAM, nonsense)),
        (hook.refresh_job_instance, (nonsense,)),
    ):
        with pytest.raises(DinkyConfigError, match="(savepoint_path|variables|job_instance_id) must be"):
            method(*arguments)  # type: ignore[operator]
    assert not sandbox.requests


def test_explain_sends_the_settings_of_the_task_and_those_given(hook: DinkyHook, sandbox: Sandbox) -> None:
    hook.explain_sql(STREAM, parallelism=9)
    (sent,) = (request.json for request in sandbox.requests if request.path == "/openapi/explainSql")
    assert (sent["id"], sent["parallelism"], sent["dialect"]) == (STREAM, 9, "FlinkSql")
    assert "INSERT INTO orders_by_customer" in sent["statement"]


def test_lineage_is_that_of_the_newest_job(hook: DinkyHook) -> None:
    assert hook.get_task_lineage(STREAM) is None
    hook.submit_task(STREAM)
    lineage = hook.get_task_lineage(STREAM)
    if not hook.config.has_credentials:
        assert lineage is None
        return
    assert lineage is not None
    assert [table["name"].rpartition(".")[2] for table in lineage.tables] == ["orders", "orders_by_customer"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda hook: hook.submit_task(99),
        lambda hook: hook.restart_task(99),
        lambda hook: hook.cancel_task(99),
        lambda hook: hook.trigger_savepoint(99),
        lambda hook: hook.export_sql(99),
        lambda hook: hook.get_latest_job_instance(99),
        lambda hook: hook.get_job_instance(99),
        lambda hook: hook.get_task_lineage(99),
    ],
)
def test_what_dinky_does_not_know(hook: DinkyHook, ask: Callable[[DinkyHook], Any]) -> None:
    with pytest.raises(DinkyNotFoundError, match=f"connection '{hook.dinky_conn_id}'"):
        ask(hook)


def test_ids_may_come_as_text_and_must_be_ids(hook: DinkyHook, sandbox: Sandbox) -> None:
    assert hook.submit_task(" 1 ").job_instance_id == 1  # type: ignore[arg-type]
    before = len(sandbox.requests)
    for ask in (
        hook.submit_task,
        hook.restart_task,
        hook.cancel_task,
        hook.trigger_savepoint,
        hook.export_sql,
    ):
        with pytest.raises(DinkyConfigError, match="dinky_task_id must be a positive whole number"):
            ask("orders")  # type: ignore[operator]
    with pytest.raises(DinkyConfigError, match="job_instance_id must be a positive whole number"):
        hook.get_job_instance(-1)
    assert len(sandbox.requests) == before


def test_connections_are_closed_and_opened_again(hook: DinkyHook) -> None:
    client = hook.get_conn()
    with hook:
        assert client.send(calls.version()) == "1.1.0"
    assert hook.get_conn() is client
    assert hook.get_version() == "1.1.0"


def test_a_hook_that_was_never_used_opens_nothing() -> None:
    DinkyHook("never_defined").close()


# test_connection


def test_connection_test_when_all_is_well(sandbox: Sandbox) -> None:
    assert DinkyHook("signed_in").test_connection() == (
        True,
        f"Dinky 1.1.0 at {sandbox.url}, signed in as 'admin', tenant 1",
    )
    assert DinkyHook("anonymous").test_connection() == (
        True,
        f"Dinky 1.1.0 at {sandbox.url}, used anonymously",
    )


def test_connection_test_with_an_issued_token(
    sandbox: Sandbox, signed_in: DinkyHook, connection: Connections
) -> None:
    token = signed_in.client.send(
        ApiCall("token", "POST", "/api/token/buildToken", lambda answer: str(answer.data))
    )
    ok, text = connection(sandbox.url, password=token).test_connection()
    assert not ok
    assert "works only after Dinky's next restart" in text
    sandbox.restart()
    assert connection(sandbox.url, password=token).test_connection() == (
        True,
        f"Dinky 1.1.0 at {sandbox.url}, signed in with a token, tenant 1",
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"login": "admin", "password": SECRET}, "check login and password of the connection"),
        ({"login": "bob", "password": SECRET}, "Dinky refuses user 'bob' (User Not Exist)"),
        ({"password": SECRET}, "does not accept the token of the connection"),
        ({"login": "admin"}, "field 'password' is empty"),
        (
            {"login": "admin", "password": "admin", "extra": {"tenant_id": 99}},
            "not in tenant 99: check tenant_id",
        ),
        ({"extra": {"read_timeout": "soon"}}, "field 'read_timeout' must be a number of seconds"),
        ({"schema": "https"}, "field 'schema' says https, but host says http"),
    ],
)
def test_connection_test_with_something_wrong(
    sandbox: Sandbox, connection: Connections, fields: dict[str, Any], text: str
) -> None:
    ok, said = connection(sandbox.url, **fields).test_connection()
    assert not ok
    assert text in said
    assert "connection 'c1'" in said
    assert SECRET not in said


def test_connection_test_of_a_host_that_is_not_there(connection: Connections) -> None:
    started = time.monotonic()
    ok, said = connection(f"http://{LOCALHOST}:{free_port()}").test_connection()
    assert time.monotonic() - started < 30
    assert not ok
    assert "cannot connect" in said
    assert "check host, port and scheme" in said


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            Reply(b"<html>Welcome to nginx</html>"),
            "is this a Dinky, or a proxy before it? '<html>Welcome to nginx",
        ),
        (Reply(b'{"code": 0, "data": null, "success": true}'), "the answer has an unexpected shape"),
        (Reply(b"<html>Not Found</html>", 404), "HTTP 404: the address is not a Dinky 1.0 or newer"),
        (
            Reply(b"", 302, {"Location": "https://sso.example.com/login"}),
            "redirects to https://sso.example.com",
        ),
        (Reply(b"<html>Bad Gateway</html>", 502), "'; look whether Dinky runs, and at a proxy before it"),
        (Reply(b"<html>Unauthorized</html>", 401), "if a proxy before Dinky wants credentials of its own"),
    ],
)
def test_connection_test_of_what_is_no_dinky(connection: Connections, answer: Reply, text: str) -> None:
    with TinyServer(lambda request: answer) as server:
        ok, said = connection(server.url).test_connection()
    assert not ok
    assert text in said


# get_failure_reason

REASON = "java.lang.NumberFormatException: For input string: 'twelve'. Invalid character found."


@pytest.fixture
def failed(sandbox: Sandbox) -> SubmitResult:
    """The submit of a job that has failed."""
    with DinkyHook("anonymous") as hook:
        result = hook.submit_task(FAILING)
        wait_for(hook, result.job_instance_id, JobStatus.FAILED)
    return result


def reason(hook: DinkyHook, failed: SubmitResult) -> str | None:
    assert failed.job_instance_id is not None
    return hook.get_failure_reason(failed.job_instance_id, failed.job_id, failed.job_manager_address)


def test_reason_signed_in(signed_in: DinkyHook, failed: SubmitResult) -> None:
    assert failed.job_instance_id is not None
    assert signed_in.get_failure_reason(failed.job_instance_id) == REASON


def test_reason_anonymous(sandbox: Sandbox, failed: SubmitResult) -> None:
    before = len(sandbox.requests)
    with DinkyHook("anonymous") as hook:
        assert reason(hook, failed) is None
    assert len(sandbox.requests) == before


def test_reason_anonymous_where_flink_may_be_asked(
    sandbox: Sandbox, failed: SubmitResult, connection: Connections
) -> None:
    hook = connection(sandbox.url, extra={"allow_flink_rest": True})
    assert reason(hook, failed) == REASON
    assert hook.get_failure_reason(failed.job_instance_id or 0) is None


def test_reason_where_flink_cannot_be_reached(
    sandbox: Sandbox, connection: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connection(sandbox.url, extra={"allow_flink_rest": True})
    assert hook.get_failure_reason(1, "a1", f"{LOCALHOST}:{free_port()}") is None
    assert hook.get_failure_reason(1, "a1", "no host") is None
    assert wire.FLINK_PATIENCE == 3
    monkeypatch.setattr(wire, "FLINK_PATIENCE", 0.2)
    with TinyServer(lambda request: hang) as server:
        started = time.monotonic()
        assert hook.get_failure_reason(1, "a1", f"{LOCALHOST}:{server.port}") is None
        assert time.monotonic() - started < 30


def test_reason_of_a_job_that_nobody_knows(signed_in: DinkyHook) -> None:
    assert signed_in.get_failure_reason(99) is None


def test_reason_hides_secrets(connection: Connections) -> None:
    trace = json.dumps(
        {"root-exception": "a.E: x\nCaused by: b.F: 'password' = 'other99'\n\tat c.D.e(D.java:1)"}
    )
    with TinyServer(lambda request: Reply(trace.encode())) as server:
        hook = connection(server.url, extra={"allow_flink_rest": True})
        assert hook.get_failure_reason(1, "a1", f"{LOCALHOST}:{server.port}") == "b.F: 'password' = '***'"


# Secrets


def test_nothing_logs_a_secret(
    connection: Connections, logged: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Sandbox(speed=60, seed=1, password=SECRET) as sandbox:
        hook = connection(sandbox.url, login="admin", password=SECRET, extra={"allow_flink_rest": True})
        result = hook.submit_task(FAILING)
        wait_for(hook, result.job_instance_id, JobStatus.FAILED)
        assert reason(hook, result) == REASON
        assert hook.test_connection()[0]
        sandbox.fault("body", "/api/jobInstance", body=f"'password' = '{SECRET}'")
        said = hook.test_connection()[1]
        assert "is this a Dinky" in said
    everything = f"{logged()} {said} {hook.client!r} {hook.config!r} {hook!r}"
    assert SECRET not in everything
    assert "0123456789abcdef" not in everything  # the password hash in the answer to a sign-in


# checked_id


@given(st.integers(1, 2**31 - 1))
def test_an_id_is_an_id_as_number_and_as_text(number: int) -> None:
    assert checked_id(number, "x", "c1") == number
    assert checked_id(f" {number}\n", "x", "c1") == number


@given(
    st.integers(max_value=0)
    | st.integers(min_value=2**31)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.text("-+._ 0\u0661\u00b2", max_size=5)
    | st.lists(st.integers(), max_size=2)
    | st.sampled_from([10**5_000, "9" * 5_000, b"7"])
)
def test_anything_else_is_none(value: Any) -> None:
    with pytest.raises(
        DinkyConfigError, match="connection 'c1': x must be a positive whole number, Dinky's id of it"
    ):
        checked_id(value, "x", "c1")


def airflows_masker() -> Any:
    """Where Airflow keeps it: from 3.1, in 3.0, in 2.11."""
    for place in (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ):
        with suppress(ImportError, AttributeError):
            return import_module(place).redact
    raise AssertionError("Airflow's masker was not found")


def test_airflow_hides_the_values_of_headers(connection: Connections) -> None:
    value = f"gate {SECRET}-of-a-header"
    hook = connection("dinky", extra={"headers": {"X-Gate": value}})
    assert hook.config.headers == {"X-Gate": value}
    assert value not in str(airflows_masker()({"said": f"sent {value} away"}))
