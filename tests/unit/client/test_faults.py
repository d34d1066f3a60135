# SPDX-License-Identifier: Apache-2.0
"""What networks, proxies and dying servers do to the two clients, over real sockets.

The promise that matters most: what starts or stops a job is never sent twice.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_dinky.client import calls, http_limits, wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyConnectionError,
    DinkyError,
    DinkyResponseError,
)
from airflow_provider_dinky.client.flink import cancel_job, job_exceptions
from airflow_provider_dinky.client.retry import RetryFor
from tests.clients import AnyClient
from tests.servers import (
    LOCALHOST,
    Action,
    Reply,
    Request,
    TinyServer,
    bad_gateway,
    envelope,
    free_port,
    hang,
    reset,
    reset_unread,
)

Connect = Callable[..., AnyClient]
PATIENT = RetryFor(connection=5, sign_in=5, tenant=5)
LOOK_UP = "/openapi/getJobInstanceByTaskId"

READ = calls.version()
SUBMIT = calls.submit_task(7)
STARTED = envelope({"jobInstanceId": 12, "jobId": "a1", "success": True})
SAVED = envelope({"jobInfos": [{"jobId": "a1", "savePoint": "s3://sp/1"}]})
ACTIONS: list[Any] = [
    pytest.param(SUBMIT, STARTED, id="submit"),
    pytest.param(calls.restart_task(7), STARTED, id="restart"),
    pytest.param(calls.restart_task(7, via_api=True), STARTED, id="restart signed in"),
    pytest.param(calls.cancel_task(7), envelope(True), id="cancel"),
    pytest.param(calls.cancel_task(7, via_api=True), envelope(), id="cancel signed in"),
    pytest.param(calls.trigger_savepoint(7), SAVED, id="savepoint"),
    pytest.param(calls.trigger_savepoint(7, "stop", via_api=True), SAVED, id="stop signed in"),
]


def config(url: str, patience: float = 5, **settings: Any) -> DinkyConfig:
    """A connection that waits so many seconds for anything."""
    timeouts = ("connect_timeout", "read_timeout", "submit_timeout", "savepoint_timeout")
    return DinkyConfig(url, token="t1", **{**dict.fromkeys(timeouts, patience), **settings})


def patience(trouble: Reply | Action) -> float:
    """Seconds to wait: few where nothing will come."""
    return 0.15 if trouble is hang else 5


def first(*troubles: Reply | Action, then: Reply, on: str = "/") -> Callable[[Request], Reply | Action]:
    """Meets the first requests to a path with troubles, the others with an answer."""
    left = list(troubles)

    def respond(request: Request) -> Reply | Action:
        if request.path == LOOK_UP != on:
            return envelope()
        return left.pop(0) if left and request.path.startswith(on) else then

    return respond


def failure(client: AnyClient, call: ApiCall[Any]) -> DinkyError:
    with pytest.raises(DinkyError) as caught:
        client.send(call)
    return caught.value


def sent(server: TinyServer, call: ApiCall[Any]) -> int:
    return server.paths.count(call.path)


@contextmanager
def port_that_nobody_accepts_at() -> Iterator[int]:
    """A port whose queue of connections is full: to connect takes for ever."""
    with socket.socket() as listener:
        listener.bind((LOCALHOST, 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


# Nothing was sent


@pytest.mark.parametrize(("call", "answer"), [pytest.param(READ, envelope("1.1.0"), id="read"), *ACTIONS])
def test_refused_until_the_server_appears(connect: Connect, call: ApiCall[Any], answer: Reply) -> None:
    server = None
    port = free_port()

    def appear(seconds: float) -> None:
        nonlocal server
        if server is None:
            server = TinyServer(first(then=answer), port=port).__enter__()

    client = connect(config(f"http://{LOCALHOST}:{port}"), PATIENT, appear)
    client.send(call)
    assert server is not None
    server.__exit__(None, None, None)
    assert sent(server, call) == 1


def test_refused_for_good(connect: Connect) -> None:
    error = failure(connect(config(f"http://{LOCALHOST}:{free_port()}")), SUBMIT)
    assert isinstance(error, DinkyConnectionError)
    assert not error.outcome_unknown
    assert "cannot connect" in str(error)
    assert "check host, port and scheme" in str(error)


def test_no_connection_in_time_is_told_apart_from_no_answer_in_time(connect: Connect) -> None:
    with port_that_nobody_accepts_at() as port:
        started = time.monotonic()
        error = failure(
            connect(config(f"http://{LOCALHOST}:{port}", connect_timeout=0.3, submit_timeout=600)), SUBMIT
        )
        assert time.monotonic() - started < 60
    assert "no connection within 0.3 s" in str(error)
    assert not error.outcome_unknown
    with TinyServer(lambda request: hang) as server:
        started = time.monotonic()
        error = failure(connect(config(server.url, 0.3, connect_timeout=600)), SUBMIT)
        assert time.monotonic() - started < 60
    assert "no answer within 0.3 s" in str(error)
    assert error.outcome_unknown


def test_flink_is_not_waited_for(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wire.FLINK_PATIENCE == 3
    monkeypatch.setattr(wire, "FLINK_PATIENCE", 0.2)
    client = connect(config("http://dinky.invalid", 600))
    with port_that_nobody_accepts_at() as port, TinyServer(lambda request: hang) as server:
        started = time.monotonic()
        for place in (port, server.port):
            assert isinstance(
                failure(client, job_exceptions(f"{LOCALHOST}:{place}", "a1")), DinkyConnectionError
            )
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_host_that_cannot_be(connect: Connect, host: str) -> None:
    error = failure(connect(config(f"http://{host}:1"), PATIENT), SUBMIT)
    assert isinstance(error, DinkyConfigError)
    assert "check host and port" in str(error)


# Perhaps it was sent

TROUBLES: list[Any] = [
    pytest.param(reset, id="reset"),
    pytest.param(lambda connection: None, id="closed"),
    pytest.param(hang, id="no answer"),
    pytest.param(bad_gateway(), id="502"),
    pytest.param(Reply(b"{}", headers={"Content-Length": "50"}, then_close=True), id="cut short"),
    pytest.param(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"), id="no HTTP"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_read_is_sent_again(connect: Connect, trouble: Reply | Action) -> None:
    with TinyServer(first(trouble, trouble, then=envelope("1.1.0"))) as server:
        assert connect(config(server.url, patience(trouble)), PATIENT).send(READ) == "1.1.0"
    assert len(server.received) == 3


@pytest.mark.parametrize(("call", "answer"), ACTIONS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_acts_is_never_sent_twice(
    connect: Connect, call: ApiCall[Any], answer: Reply, trouble: Reply | Action
) -> None:
    with TinyServer(first(trouble, then=answer, on=call.path)) as server:
        error = failure(connect(config(server.url, patience(trouble)), PATIENT), call)
    assert sent(server, call) == 1
    assert isinstance(error, DinkyConnectionError)
    assert error.outcome_unknown
    assert "Dinky may have carried it out" in str(error)


@pytest.mark.parametrize(("call", "answer"), ACTIONS)
def test_what_acts_is_not_sent_again_on_a_used_connection_either(
    connect: Connect, call: ApiCall[Any], answer: Reply
) -> None:
    with TinyServer(first(reset, then=answer, on=call.path)) as server:
        client = connect(config(server.url), PATIENT)
        client.send(calls.get_latest_job_instance(7))
        assert failure(client, call).outcome_unknown
    assert sent(server, call) == 1


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_cancel_that_flink_is_asked_for_is_never_sent_twice(
    connect: Connect, trouble: Reply | Action
) -> None:
    with TinyServer(first(trouble, then=Reply(b"{}", 202))) as server:
        call = cancel_job(f"{LOCALHOST}:{server.port}", "a1")
        error = failure(connect(config("http://dinky.invalid", patience(trouble)), PATIENT), call)
    assert sent(server, call) == 1
    assert error.outcome_unknown


def test_a_reset_before_the_request_was_read(connect: Connect) -> None:
    def greet(number: int) -> Action | None:
        return reset_unread if number == 0 else None

    with TinyServer(first(then=envelope("1.1.0")), greet=greet) as server:
        assert connect(config(server.url), PATIENT).send(READ) == "1.1.0"
        assert server.accepted == 2
    with TinyServer(first(then=STARTED), greet=greet) as server:
        assert failure(connect(config(server.url), PATIENT), SUBMIT).outcome_unknown
        assert server.accepted == 1
    assert server.received == []


@pytest.mark.parametrize(
    "answer", [Reply(b"<html>"), Reply(b""), Reply(b"[]"), envelope(), Reply(b"", 302, {"Location": "/x"})]
)
def test_an_answer_that_is_none_leaves_open_what_became_of_a_submit(connect: Connect, answer: Reply) -> None:
    with TinyServer(first(then=answer)) as server:
        error = failure(connect(config(server.url), PATIENT), SUBMIT)
    assert isinstance(error, DinkyResponseError)
    assert error.outcome_unknown
    assert len(server.received) == 1


def test_an_answer_that_never_ends_is_given_up(connect: Connect) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(b"x")
            time.sleep(0.05)

    with TinyServer(lambda request: drip) as server:
        started = time.monotonic()
        error = failure(connect(config(server.url, 0.2)), SUBMIT)
        assert time.monotonic() - started < 60
    assert isinstance(error, DinkyConnectionError)
    assert error.outcome_unknown


# Connections


def test_reads_share_a_connection_and_what_acts_has_its_own(connect: Connect) -> None:
    def respond(request: Request) -> Reply:
        return STARTED if request.path == SUBMIT.path else envelope("1.1.0")

    with TinyServer(respond) as server:
        client = connect(config(server.url))
        for call in (READ, SUBMIT, READ, SUBMIT, READ):
            client.send(call)
    assert [request.connection for request in server.received] == [0, 1, 0, 2, 0]


@pytest.mark.parametrize(("call", "answer"), [pytest.param(READ, envelope("1.1.0"), id="read"), *ACTIONS])
def test_a_connection_that_the_server_closed_in_the_meantime(
    connect: Connect, call: ApiCall[Any], answer: Reply
) -> None:
    closing = Reply(envelope("1.1.0").body, then_close=True)
    with TinyServer(first(closing, then=answer, on=READ.path)) as server:
        client = connect(config(server.url), PATIENT)
        assert client.send(READ) == "1.1.0"
        client.send(call)
    assert sent(server, call) == (2 if call is READ else 1)


def test_many_at_once(connect: Connect) -> None:
    with TinyServer(lambda request: envelope({"id": int(request.query["id"])})) as server:
        client = connect(config(server.url, read_timeout=10))
        found = client.send_all(calls.get_job_instance(number) for number in range(1, 51))
    assert [instance.id for instance in found] == list(range(1, 51))


# Redirects


def test_a_read_follows_a_redirect_on_the_same_host(connect: Connect) -> None:
    task = calls.get_task(7)

    def respond(request: Request) -> Reply:
        if request.path == task.path:
            return Reply(b"", 302, {"Location": f"/behind{request.target}"})
        return envelope({"id": int(request.query["id"])})

    with TinyServer(respond) as server:
        assert connect(config(server.url)).send(task).id == 7
    assert server.paths == [task.path, f"/behind{task.path}"]
    assert all(
        request.headers["cookie"] == "token=t1; dinky-token=t1; tenantId=1" for request in server.received
    )


def test_the_token_never_goes_to_another_host(connect: Connect) -> None:
    with TinyServer(lambda request: envelope({"id": 7})) as stranger:

        def respond(request: Request) -> Reply:
            return Reply(b"", 302, {"Location": f"{stranger.url}{request.target}"})

        with TinyServer(respond) as server:
            error = failure(connect(config(server.url), PATIENT), calls.get_task(7))
    assert stranger.received == []
    assert f"HTTP 302 redirects to {stranger.url}, which is not followed" in str(error)
    assert len(server.received) == 1


def test_no_submit_follows_a_redirect(connect: Connect) -> None:
    with TinyServer(lambda request: Reply(b"", 307, {"Location": "/behind"})) as server:
        error = failure(connect(config(server.url), PATIENT), SUBMIT)
    assert server.paths == [SUBMIT.path]
    assert error.outcome_unknown


def test_a_redirect_in_circles(connect: Connect) -> None:
    with TinyServer(lambda request: Reply(b"", 302, {"Location": request.target})) as server:
        error = failure(connect(config(server.url), PATIENT), READ)
    assert isinstance(error, DinkyConfigError)
    assert "redirected in circles" in str(error)
    assert len(server.received) == wire.MAX_REDIRECTS


# Size


def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http_limits.MAX_ANSWER_BYTES == 64 * 1024 * 1024
    monkeypatch.setattr(http_limits, "MAX_ANSWER_BYTES", 2 * 1024 * 1024)
    written = 0

    def flood(connection: socket.socket) -> None:
        nonlocal written
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1_000):
            connection.sendall(b"x" * 1_000_000)
            written += 1_000_000

    with TinyServer(lambda request: flood) as server:
        error = failure(connect(config(server.url, read_timeout=10), PATIENT), READ)
    assert isinstance(error, DinkyResponseError)
    assert "the answer is larger than 2 MiB and was not read" in str(error)
    assert written < 50_000_000
    assert len(server.received) == 1


def test_an_answer_that_is_too_large_once_unpacked(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "MAX_ANSWER_BYTES", 2 * 1024 * 1024)
    packed = gzip.compress(b" " * 5_000_000)
    with TinyServer(lambda request: Reply(packed, headers={"Content-Encoding": "gzip"})) as server:
        error = failure(connect(config(server.url, read_timeout=10)), READ)
    assert "the answer is larger than 2 MiB" in str(error)


def test_a_packed_answer(connect: Connect) -> None:
    packed = gzip.compress(json.dumps({"data": "1.1.0", "code": 0}).encode())
    with TinyServer(lambda request: Reply(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert connect(config(server.url)).send(READ) == "1.1.0"
