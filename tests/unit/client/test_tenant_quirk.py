# SPDX-License-Identifier: Apache-2.0
"""Dinky refuses a task that exists until the right worker thread serves the call: nobody gets to see that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyNotFoundError, DinkyRefusedError
from airflow_provider_dinky.client.retry import NO_RETRY, RetryFor
from airflow_provider_dinky.sandbox import Sandbox
from tests.clients import AnyClient
from tests.servers import Reply, Request, TinyServer, envelope

Connect = Callable[..., AnyClient]
LOOK_UP = "/openapi/getJobInstanceByTaskId"
PATIENT = RetryFor(tenant=20)
AFFECTED: list[Any] = [
    pytest.param(calls.restart_task(7), envelope({"jobInstanceId": 12, "success": True}), id="restart"),
    pytest.param(calls.cancel_task(7), envelope(True), id="cancel"),
    pytest.param(
        calls.trigger_savepoint(7), envelope({"jobInfos": [{"savePoint": "s3://sp"}]}), id="savepoint"
    ),
    pytest.param(calls.export_sql(7), envelope(None, msg="SELECT 1"), id="exportSql"),
]


def refusing(times: int, then: Reply, said: str = "Task Not Exist") -> Callable[[Request], Reply]:
    left = times

    def respond(request: Request) -> Reply:
        nonlocal left
        if request.path == LOOK_UP:
            return envelope()
        left -= 1
        return envelope(code=1, msg=said) if left >= 0 else then

    return respond


@pytest.mark.parametrize("said", ["Task Not Exist", "任务不存在"])
@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.parametrize(("call", "answer"), AFFECTED)
def test_refusals_are_hidden(
    connect: Connect, call: ApiCall[Any], answer: Reply, times: int, said: str
) -> None:
    with TinyServer(refusing(times, answer, said)) as server:
        assert connect(DinkyConfig(server.url), PATIENT).send(call)
    # The look-up comes before each try: it gives a worker thread its tenant.
    assert server.paths == [LOOK_UP, call.path] * (times + 1)
    assert {request.query["id"] for request in server.received if request.path == LOOK_UP} == {"7"}


@pytest.mark.parametrize(("call", "answer"), AFFECTED)
def test_refusals_are_bounded_by_time(connect: Connect, call: ApiCall[Any], answer: Reply) -> None:
    with TinyServer(refusing(1_000_000, answer)) as server:
        client = connect(DinkyConfig(server.url), RetryFor(tenant=0.6), lambda seconds: time.sleep(0.02))
        started = time.monotonic()
        with pytest.raises(DinkyNotFoundError, match="that the task is in tenant 1"):
            client.send(call)
        assert time.monotonic() - started < 60
    assert len(server.received) > 2


@pytest.mark.parametrize(("call", "answer"), AFFECTED)
@pytest.mark.parametrize("said", ["Task Not Exist", "任务不存在"])
def test_a_task_that_the_look_up_does_not_know_either_is_refused_at_once(
    connect: Connect, call: ApiCall[Any], answer: Reply, said: str
) -> None:
    with TinyServer(lambda request: envelope(code=1, msg=said)) as server, pytest.raises(DinkyNotFoundError):
        connect(DinkyConfig(server.url), PATIENT).send(call)
    assert server.paths == [LOOK_UP]


def test_another_refusal_is_final(connect: Connect) -> None:
    with TinyServer(refusing(1, envelope(True), "stop job failed")) as server:
        client = connect(DinkyConfig(server.url), PATIENT)
        with pytest.raises(DinkyRefusedError, match="stop job failed"):
            client.send(calls.restart_task(7))
    assert server.paths == [LOOK_UP, "/openapi/restartTask"]


def test_signed_in_nothing_is_looked_up(connect: Connect) -> None:
    with TinyServer(lambda request: envelope(True)) as server:
        connect(DinkyConfig(server.url, token="t1"), NO_RETRY).send(calls.cancel_task(7, via_api=True))
    assert server.paths == ["/api/task/cancel"]


def test_beside_another_tenant_of_a_real_worker_pool(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.other_tenant_busy(0.7)
    client = connect(DinkyConfig(sandbox.url), PATIENT)
    for _ in range(5):
        assert client.send(calls.export_sql(1)).startswith("set pipeline.name")
