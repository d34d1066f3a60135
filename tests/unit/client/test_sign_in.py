# SPDX-License-Identifier: Apache-2.0
"""Signing in: only when needed, once, again when pushed out, and never in vain."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError, DinkyResponseError, DinkySignInError
from airflow_provider_dinky.client.flink import cancel_job, job_exceptions
from airflow_provider_dinky.client.retry import RetryFor
from airflow_provider_dinky.client.wire import SessionLost
from airflow_provider_dinky.sandbox import Sandbox
from tests.clients import AnyClient, Blocking
from tests.servers import LOCALHOST, Action, Reply, Request, TinyServer, bad_gateway, envelope, reset

Connect = Callable[..., AnyClient]
PATIENT = RetryFor(connection=10, sign_in=10)
TASK = calls.get_task(1)
LOGIN, TENANT = "/api/login", "/api/chooseTenant"


def signed_in(url: str, **settings: Any) -> DinkyConfig:
    return DinkyConfig(url, **{"name": "c1", "username": "admin", "password": "admin", **settings})


def asked(sandbox: Sandbox, path: str) -> int:
    return sum(request.path == path for request in sandbox.requests)


def push_out(sandbox: Sandbox) -> None:
    """Sign the same user in from elsewhere."""
    client = Blocking(signed_in(sandbox.url))
    client.send(TASK)
    client.close()


def failure(client: AnyClient, call: ApiCall[Any] = TASK) -> DinkyError:
    with pytest.raises(DinkyError) as caught:
        client.send(call)
    return caught.value


def test_what_needs_no_sign_in_signs_nobody_in(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url))
    client.send(calls.version())
    client.send(calls.submit_task(1))
    assert asked(sandbox, LOGIN) == 0


def test_the_first_call_that_needs_it_signs_in_once(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url))
    for _ in range(3):
        assert client.send(TASK).id == 1
    assert [request.path for request in sandbox.requests] == [LOGIN, TENANT, *[TASK.path] * 3]


def test_many_calls_at_once_sign_in_once(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url))
    assert len(client.send_all([TASK] * 40)) == 40
    assert asked(sandbox, LOGIN) == 1


def test_many_calls_that_were_signed_out_sign_in_once_more(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url), PATIENT)
    client.send(TASK)
    push_out(sandbox)
    assert len(client.send_all([TASK] * 40)) == 40
    assert asked(sandbox, LOGIN) == 3


def test_the_cookie_goes_with_api_calls_and_no_other(connect: Connect) -> None:
    def respond(request: Request) -> Reply:
        if request.path == LOGIN:
            return Reply(envelope().body, headers={"Set-Cookie": "token=t1; Max-Age=36000; Path=/"})
        if request.path == "/openapi/version":
            return envelope("1.1.0")
        return envelope({"id": 1, "jobInstanceId": 1, "success": True})

    with TinyServer(respond) as server:
        client = connect(signed_in(server.url, tenant_id=7))
        for call in (
            calls.version(),
            TASK,
            calls.version(),
            calls.submit_task(1),
            calls.restart_task(1, via_api=True),
        ):
            client.send(call)
    cookies = [(request.path, request.headers.get("cookie")) for request in server.received]
    assert cookies == [
        ("/openapi/version", None),
        (LOGIN, None),
        (TENANT, "token=t1; tenantId=7"),
        (TASK.path, "token=t1; tenantId=7"),
        ("/openapi/version", None),
        ("/openapi/submitTask", None),
        ("/api/task/restartTask", "token=t1; tenantId=7"),
    ]
    assert server.received[2].query == {"tenantId": "7"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"password": "wrong-hunter2"},
            "refuses user 'admin' (UserName Or Password Not Correct): check login and",
        ),
        ({"username": "nobody"}, "refuses user 'nobody' (User Not Exist): check login and password"),
        ({"tenant_id": 99}, "the user is not in tenant 99: check tenant_id of the connection"),
        ({"username": None}, "this call needs a signed-in user: put a Dinky user and password"),
        ({"password": None}, "this call needs a signed-in user"),
    ],
)
def test_wrong_credentials_are_final(
    connect: Connect, sandbox: Sandbox, settings: dict[str, Any], text: str
) -> None:
    error = failure(connect(signed_in(sandbox.url, **settings), PATIENT))
    assert type(error) is DinkySignInError
    assert text in str(error)
    assert "connection 'c1'" in str(error)
    assert "hunter2" not in f"{error!r} {error.__cause__!r}"
    assert not error.outcome_unknown
    assert asked(sandbox, LOGIN) <= 1


@pytest.mark.parametrize("said", ["Can Not Read Token", "未能读取到有效 Token"])
def test_a_tenant_that_dinky_refuses_by_reading_no_token(connect: Connect, said: str) -> None:
    with TinyServer(choosing(envelope(code=7, msg=said, status=401))) as server:
        error = failure(connect(signed_in(server.url), PATIENT))
    assert "the user is not in tenant 1: check tenant_id" in str(error)
    assert server.paths == [LOGIN, TENANT]


@pytest.mark.parametrize("said", ["token has been pushed offline", "token 已被顶下线", "Invalid Token"])
def test_signed_out_before_the_tenant_was_chosen(connect: Connect, said: str) -> None:
    with TinyServer(choosing(envelope(code=7, msg=said, status=401))) as server:
        connect(signed_in(server.url), PATIENT).send(calls.restart_task(1, via_api=True))
    assert server.paths == [LOGIN, TENANT, LOGIN, TENANT, "/api/task/restartTask"]


def choosing(*troubles: Reply) -> Callable[[Request], Reply]:
    """Lets anybody in, after trouble with the choice of a tenant."""
    left = list(troubles)

    def respond(request: Request) -> Reply:
        if request.path == TENANT and left:
            return left.pop(0)
        body = envelope({"jobInstanceId": 1, "success": True}).body
        return Reply(body, headers={"Set-Cookie": "token=t1; Path=/"})

    return respond


def test_a_login_without_a_token(connect: Connect) -> None:
    with TinyServer(lambda request: envelope()) as server:
        error = failure(connect(signed_in(server.url), PATIENT))
    assert isinstance(error, DinkyResponseError)
    assert "Dinky sent no token cookie" in str(error)


@pytest.mark.parametrize("trouble", [reset, bad_gateway()], ids=["reset", "502"])
@pytest.mark.parametrize("path", [LOGIN, TENANT])
@pytest.mark.parametrize("call", [TASK, calls.restart_task(1, via_api=True)], ids=["read", "restart"])
def test_trouble_while_signing_in_is_waited_out(
    connect: Connect, call: ApiCall[Any], path: str, trouble: Reply | Action
) -> None:
    left = [trouble, trouble]

    def respond(request: Request) -> Reply | Action:
        if request.path == path and left:
            return left.pop()
        return Reply(
            envelope({"id": 1, "jobInstanceId": 1, "success": True}).body,
            headers={"Set-Cookie": "token=t1; Path=/"},
        )

    with TinyServer(respond) as server:
        connect(signed_in(server.url), PATIENT).send(call)
    assert server.paths.count(call.path) == 1


def test_signed_out_in_the_middle(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url), PATIENT)
    client.send(TASK)
    push_out(sandbox)
    assert client.send(TASK).id == 1
    sandbox.restart()
    assert client.send(TASK).id == 1
    assert asked(sandbox, LOGIN) == 4


def test_signed_out_for_good_ends_in_time(connect: Connect) -> None:
    def respond(request: Request) -> Reply:
        if request.path.startswith(TASK.path):
            return envelope(code=7, msg="token has been pushed offline", status=401)
        return Reply(envelope().body, headers={"Set-Cookie": "token=t1; Path=/"})

    with TinyServer(respond) as server:
        client = connect(signed_in(server.url), RetryFor(sign_in=2), lambda seconds: time.sleep(0.02))
        started = time.monotonic()
        error = failure(client)
        assert time.monotonic() - started < 3
    assert isinstance(error, SessionLost)
    assert "Every sign-in of a user pushes out the one before" in str(error)
    assert server.paths.count(LOGIN) > 2


def test_two_that_push_each_other_out_both_get_on(connect: Connect, sandbox: Sandbox) -> None:
    clients = [
        connect(signed_in(sandbox.url), RetryFor(sign_in=1_000), lambda seconds: time.sleep(seconds / 50))
        for _ in range(2)
    ]

    def work(client: AnyClient) -> list[int]:
        return [client.send(TASK).id for _ in range(15)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, clients)) == [[1] * 15] * 2
    assert asked(sandbox, LOGIN) > 2


def test_what_acts_is_sent_again_when_it_was_signed_out(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(signed_in(sandbox.url), PATIENT)
    client.send(TASK)
    push_out(sandbox)
    client.send(calls.restart_task(1, via_api=True))
    assert asked(sandbox, "/api/task/restartTask") == 2
    assert len(sandbox.engine.jobs) == 1


@pytest.mark.parametrize("credentials", [{}, {"token": "t1", "username": None, "password": None}])
def test_flink_is_not_told_the_credentials_of_dinky(connect: Connect, credentials: dict[str, Any]) -> None:
    with TinyServer(lambda request: Reply(b"{}", 202)) as flink:
        client = connect(signed_in("http://dinky.invalid", **credentials))
        for call in (
            job_exceptions(f"{LOCALHOST}:{flink.port}", "a1"),
            cancel_job(f"{LOCALHOST}:{flink.port}", "a1"),
        ):
            client.send(call)
    assert [(request.method, request.target) for request in flink.received] == [
        ("GET", "/jobs/a1/exceptions"),
        ("PATCH", "/jobs/a1?mode=cancel"),
    ]
    assert not any({"cookie", "authorization"} & set(request.headers) for request in flink.received)


def issue_token(sandbox: Sandbox) -> str:
    client = Blocking(signed_in(sandbox.url))
    token = client.send(ApiCall("token", "POST", "/api/token/buildToken", lambda answer: str(answer.data)))
    client.close()
    return token


def test_an_issued_token_needs_no_login(connect: Connect, sandbox: Sandbox) -> None:
    token = issue_token(sandbox)
    sandbox.restart()
    before = asked(sandbox, LOGIN)
    client = connect(DinkyConfig(sandbox.url, token=token))
    assert client.send(TASK).id == 1
    assert len(client.send_all([TASK] * 5)) == 5
    assert asked(sandbox, LOGIN) == before


def test_an_issued_token_that_is_not_accepted_fails_at_once(connect: Connect, sandbox: Sandbox) -> None:
    token = issue_token(sandbox)
    before = len(sandbox.requests)
    error = failure(connect(DinkyConfig(sandbox.url, name="c1", token=token), PATIENT))
    assert type(error) is DinkySignInError
    assert "does not accept the token of the connection (Invalid Token)" in str(error)
    assert "works only after Dinky's next restart" in str(error)
    assert token not in str(error)
    assert [request.path for request in sandbox.requests[before:]] == [TASK.path]


def test_an_issued_token_of_a_user_who_is_not_in_the_tenant(connect: Connect, sandbox: Sandbox) -> None:
    token = issue_token(sandbox)
    sandbox.restart()
    error = failure(connect(DinkyConfig(sandbox.url, token=token, tenant_id=99), PATIENT))
    assert "the user is not in tenant 99: check tenant_id" in str(error)


def test_a_proxy_that_wants_credentials_of_its_own(connect: Connect) -> None:
    with TinyServer(lambda request: Reply(b"<html>Unauthorized</html>", 401)) as server:
        error = failure(connect(signed_in(server.url), PATIENT), calls.version())
    assert "is there a proxy before Dinky" in str(error)
    assert len(server.received) == 1


def test_the_login_is_sent_as_dinky_wants_it(connect: Connect, sandbox: Sandbox) -> None:
    connect(signed_in(sandbox.url)).send(TASK)
    (login,) = (request for request in sandbox.requests if request.path == LOGIN)
    assert login.json == {"username": "admin", "password": "admin", "autoLogin": True, "ldapLogin": False}
    assert json.dumps(login.query, default=dict) == "{}"
