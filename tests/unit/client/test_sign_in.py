# SPDX-License-Identifier: Apache-2.0
"""Signing in: only when needed, once, again when pushed out, and never in vain."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError, DinkyResponseError, DinkySignInError
from airflow_provider_dinky.client.flink import cancel_job, job_exceptions
from airflow_provider_dinky.client.retry import RetryFor
from airflow_provider_dinky.client.session import session_of, token_in
from airflow_provider_dinky.client.wire import SessionLost, Token
from airflow_provider_dinky.sandbox import Sandbox
from tests.clients import AnyClient, Blocking
from tests.servers import LOCALHOST, Action, Reply, Request, TinyServer, bad_gateway, envelope, hang, reset

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


def test_the_token_goes_with_each_call_once_there_is_one(connect: Connect) -> None:
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
        ("/openapi/version", "token=t1; tenantId=7"),
        ("/openapi/submitTask", "token=t1; tenantId=7"),
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
    assert "Dinky sent no token, neither in the answer nor as a cookie" in str(error)


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
        assert time.monotonic() - started < 60
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
        for config in (signed_in(server.url), DinkyConfig(server.url, name="c1")):
            error = failure(connect(config, PATIENT), calls.submit_task(1))
            assert type(error) is DinkySignInError
            assert "if a proxy before Dinky wants credentials of its own, put them into headers" in str(error)
            assert not error.outcome_unknown
    assert server.paths == ["/openapi/submitTask", LOGIN, "/openapi/submitTask"]


def test_the_login_is_sent_as_dinky_wants_it(connect: Connect, sandbox: Sandbox) -> None:
    connect(signed_in(sandbox.url)).send(TASK)
    (login,) = (request for request in sandbox.requests if request.path == LOGIN)
    assert login.json == {"username": "admin", "password": "admin", "autoLogin": True, "ldapLogin": False}
    assert json.dumps(login.query, default=dict) == "{}"


# The token's name, and /openapi with a token.


def named(name: str, **told: Any) -> Callable[[Request], Reply]:
    """A Dinky whose token has this name: only under it a request counts as signed in."""

    def respond(request: Request) -> Reply:
        if request.path == LOGIN:
            return Reply(envelope(told).body, headers={"Set-Cookie": f"{name}=t1; Max-Age=36000; Path=/"})
        if f"{name}=t1;" not in f"; {request.headers.get('cookie', '')};".replace(" ", ""):
            return envelope(code=7, msg="Can Not Read Token", status=401)
        return envelope({"id": 1, "jobInstanceId": 1, "success": True})

    return respond


@pytest.mark.parametrize("name", ["token", "dinky-token", "satoken", "X-Token"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "only a cookie"])
def test_the_token_is_called_as_the_login_says(connect: Connect, name: str, told: bool) -> None:
    answer = {"tokenInfo": {"tokenName": name, "tokenValue": None}} if told else {}
    with TinyServer(named(name, **answer)) as server:
        assert connect(signed_in(server.url)).send(TASK).id == 1
        assert server.received[-1].headers["cookie"] == f"{name}=t1; tenantId=1"


@pytest.mark.parametrize("name", ["token", "dinky-token"])
def test_an_issued_token_is_good_under_either_name(connect: Connect, name: str) -> None:
    with TinyServer(named(name)) as server:
        client = connect(DinkyConfig(server.url, token="t1"))
        assert client.send(TASK).id == 1
        client.send(calls.submit_task(1))
    assert server.paths == [TASK.path, "/openapi/submitTask"]


@pytest.mark.parametrize(
    ("data", "cookies", "token"),
    [
        (None, {}, None),
        ({"tokenInfo": []}, {"JSESSIONID": "x"}, None),
        ({"tokenInfo": {"tokenName": "a", "tokenValue": "v"}}, {}, Token("v", ("a",))),
        ({"tokenInfo": {"tokenName": "a"}}, {"a": "v"}, Token("v", ("a",))),
        ({"tokenInfo": {"tokenName": "a"}}, {"token": "v"}, Token("v", ("token", "a"))),
        (
            {"tokenInfo": {"tokenName": "a\r\nb"}},
            {"a\r\nb": "v", "dinky-token": "w"},
            Token("w", ("dinky-token",)),
        ),
        ({"tokenInfo": {"tokenName": 7}}, {"token": "a b"}, None),
        ([], {"token": ""}, None),
    ],
)
def test_where_the_token_is(data: Any, cookies: dict[str, str], token: Token | None) -> None:
    assert token_in(data, cookies) == token


def gated(*, takes: str | None, respond: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """A gateway that lets requests to /openapi through only with this cookie; None: only without any."""

    def through(request: Request) -> Reply:
        cookie = request.headers.get("cookie")
        is_right = cookie is None if takes is None else takes in (cookie or "")
        if request.path.startswith("/openapi") and not is_right:
            return Reply(b"<html>Unauthorized</html>", 401)
        return respond(request)

    return through


SUBMIT = calls.submit_task(1)
STARTED = envelope({"id": 1, "jobInstanceId": 1, "success": True})


def test_a_gateway_that_wants_the_token_gets_it_after_one_sign_in(connect: Connect) -> None:
    with TinyServer(gated(takes="dinky-token=t1", respond=named("dinky-token"))) as server:
        client = connect(signed_in(server.url), PATIENT)
        for _ in range(2):
            assert client.send(SUBMIT).job_instance_id == 1
    assert server.paths == [SUBMIT.path, LOGIN, TENANT, SUBMIT.path, SUBMIT.path]


def test_a_token_that_has_expired_is_replaced_before_a_submit_is_sent_again(connect: Connect) -> None:
    logins = iter(range(1, 9))

    def respond(request: Request) -> Reply:
        if request.path == LOGIN:
            return Reply(envelope().body, headers={"Set-Cookie": f"token=t{next(logins)}; Path=/"})
        if request.path == SUBMIT.path and "token=t1" in request.headers.get("cookie", ""):
            return envelope(code=7, msg="token has been pushed offline")
        return envelope({"id": 1, "jobInstanceId": 1, "success": True})

    with TinyServer(respond) as server:
        client = connect(signed_in(server.url), PATIENT)
        client.send(TASK)
        assert client.send(SUBMIT).job_instance_id == 1
    assert server.paths == [LOGIN, TENANT, TASK.path, SUBMIT.path, LOGIN, TENANT, SUBMIT.path]


@pytest.mark.parametrize("credentials", [{}, {"token": "t1", "username": None, "password": None}])
def test_a_server_that_wants_no_token_is_asked_without(connect: Connect, credentials: dict[str, Any]) -> None:
    def respond(request: Request) -> Reply:
        return STARTED if request.path == SUBMIT.path else named("token")(request)

    with TinyServer(gated(takes=None, respond=respond)) as server:
        client = connect(signed_in(server.url, **credentials), PATIENT)
        client.send(TASK)
        assert client.send(SUBMIT).job_instance_id == 1
    cookies = [request.headers.get("cookie") for request in server.received if request.path == SUBMIT.path]
    assert len(cookies) == (2 if credentials else 3)
    assert cookies[-1] is None
    assert None not in cookies[:-1]


def test_without_credentials_nobody_signs_in_and_nothing_is_sent_twice(connect: Connect) -> None:
    with TinyServer(named("token")) as server:
        error = failure(connect(DinkyConfig(server.url, name="c1"), PATIENT), SUBMIT)
    assert type(error) is DinkySignInError
    assert server.paths == [SUBMIT.path]


def test_what_has_no_answer_is_never_sent_again_for_a_token(connect: Connect) -> None:
    def respond(request: Request) -> Reply | Action:
        return reset if request.path == SUBMIT.path else named("token")(request)

    with TinyServer(respond) as server:
        client = connect(signed_in(server.url), PATIENT)
        client.send(TASK)
        assert failure(client, SUBMIT).outcome_unknown
    assert server.paths.count(SUBMIT.path) == 1


# One sign-in for a process.


async def test_all_clients_of_a_process_sign_in_once(sandbox: Sandbox) -> None:
    config = signed_in(sandbox.url)
    for _ in range(3):
        with DinkyClient(config) as blocking:
            blocking.send(TASK)
        async with AsyncDinkyClient(config) as client:
            await asyncio.gather(*(client.send(TASK) for _ in range(5)))
    assert asked(sandbox, LOGIN) == 1


async def test_a_sign_out_is_answered_by_one_sign_in_for_all_clients(sandbox: Sandbox) -> None:
    config = signed_in(sandbox.url)
    async with AsyncDinkyClient(config, PATIENT) as one, AsyncDinkyClient(config, PATIENT) as other:
        await one.send(TASK)
        await asyncio.to_thread(push_out, sandbox)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(DinkyClient(config, PATIENT).send, TASK) for _ in range(8)]
            await asyncio.gather(*(client.send(TASK) for client in (one, other) for _ in range(10)))
            assert [future.result().id for future in futures] == [1] * 8
    assert asked(sandbox, LOGIN) == 3  # the first, the one that pushed it out, and one for all


def test_another_user_tenant_address_or_password_is_another_sign_in() -> None:
    config = signed_in("http://dinky:8888")
    others = [{"username": "ann"}, {"password": "b"}, {"tenant_id": 2}, {"headers": {"a": "b"}}]
    sessions = [session_of(replace(config, **other)) for other in ({}, *others)]
    sessions.append(session_of(replace(config, base_url="http://dinky:8889")))
    assert len({id(session) for session in sessions}) == 6
    assert session_of(replace(config, name="c2", read_timeout=1)) is sessions[0]
    assert "admin" not in repr(sessions)


async def test_a_sign_in_that_is_cut_off_lets_the_next_one_begin() -> None:
    with TinyServer(lambda request: hang if request.path == LOGIN else envelope()) as server:
        async with AsyncDinkyClient(signed_in(server.url)) as client:
            for _ in range(2):
                task = asyncio.ensure_future(client.send(TASK))
                while len(server.received) == 0:
                    await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                server.received.clear()
