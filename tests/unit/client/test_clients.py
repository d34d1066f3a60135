# SPDX-License-Identifier: Apache-2.0
"""What both clients do beside sending one call: run a series of calls, close, open again, hide their secrets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall, Sleep
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyNotFoundError
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.sandbox import Sandbox
from tests.clients import AnyClient
from tests.servers import Request, TinyServer, envelope

Steps = Generator[ApiCall[Any], Any, str]


def newest(dinky_task_id: int) -> Steps:
    version = yield calls.version()
    instance = yield calls.get_latest_job_instance(dinky_task_id)
    return f"{version}: {instance}"


def nothing() -> Steps:
    return "done"
    yield


async def test_a_series_of_calls(sandbox: Sandbox) -> None:
    config = DinkyConfig(sandbox.url)
    with DinkyClient(config, NO_RETRY) as blocking:
        async with AsyncDinkyClient(config, NO_RETRY) as client:
            assert blocking.run(newest(1)) == await client.run(newest(1)) == "1.1.0: None"
            assert blocking.run(nothing()) == await client.run(nothing()) == "done"


async def test_a_series_of_calls_ends_with_the_first_error(sandbox: Sandbox) -> None:
    config = DinkyConfig(sandbox.url)
    with DinkyClient(config, NO_RETRY) as blocking, pytest.raises(DinkyNotFoundError):
        blocking.run(newest(99))
    async with AsyncDinkyClient(config, NO_RETRY) as client:
        with pytest.raises(DinkyNotFoundError):
            await client.run(newest(99))


def newest_or_none(dinky_task_id: int) -> Steps:
    try:
        instance = yield calls.get_latest_job_instance(dinky_task_id)
    except DinkyNotFoundError as error:
        version = yield calls.version()
        return f"{version}: {type(error).__name__}"
    return str(instance)


async def test_a_series_of_calls_may_go_on_after_an_error(sandbox: Sandbox) -> None:
    config = DinkyConfig(sandbox.url)
    with DinkyClient(config, NO_RETRY) as blocking:
        async with AsyncDinkyClient(config, NO_RETRY) as client:
            went_on = "1.1.0: DinkyNotFoundError"
            assert blocking.run(newest_or_none(99)) == await client.run(newest_or_none(99)) == went_on


def waiting() -> Generator[ApiCall[Any] | Sleep, Any, str]:
    nothing = yield Sleep(7.5)
    return f"{nothing} {(yield calls.version())}"


async def test_a_series_of_calls_may_pause(sandbox: Sandbox) -> None:
    config, paused = DinkyConfig(sandbox.url), list[float]()

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    with DinkyClient(config, NO_RETRY, paused.append) as blocking:
        assert blocking.run(waiting()) == "None 1.1.0"
        assert blocking.run(waiting(), sleep=lambda seconds: paused.append(-seconds)) == "None 1.1.0"
    async with AsyncDinkyClient(config, NO_RETRY, sleep=pause) as client:
        assert await client.run(waiting()) == "None 1.1.0"
    assert paused == [7.5, -7.5, 7.5]


def test_closed_and_used_again(connect: Callable[..., AnyClient]) -> None:
    def respond(request: Request) -> Any:
        return envelope("1.1.0")

    with TinyServer(respond) as server:
        client: Any = connect(DinkyConfig(server.url))
        assert client.send(calls.version()) == "1.1.0"
        closing = client.client.close()
        if closing is not None:
            client.run(closing)
        assert client.send(calls.version()) == "1.1.0"
    assert [request.connection for request in server.received] == [0, 1]


def test_no_repr_shows_a_secret() -> None:
    config = DinkyConfig("http://dinky:8888", username="ann", password="hunter22", token="hunter22-token")
    blocking = DinkyClient(config)
    blocking.close()
    shown = f"{blocking!r} {AsyncDinkyClient(config)!r}"
    assert "http://dinky:8888" in shown
    assert "hunter22" not in shown
