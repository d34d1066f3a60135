# SPDX-License-Identifier: Apache-2.0
"""Signing in to each version of Dinky, whose token has another name, with a gateway before it and on any address."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkySignInError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from tests.clients import AnyClient, Blocking

Connect = Callable[..., AnyClient]
USER = {"username": "admin", "password": "admin"}
LOGIN = "/api/login"


@pytest.fixture(params=["1.0", "1.1", "1.2"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(speed=60, seed=1, dinky=request.param) as sandbox:
        yield sandbox


def sign_ins(sandbox: Sandbox) -> int:
    return sum(request.path == LOGIN for request in sandbox.requests)


def test_a_user_signs_in(connect: Connect, sandbox: Sandbox) -> None:
    client = connect(DinkyConfig(sandbox.url, **USER))
    assert client.send(calls.get_task(1)).id == 1
    started = client.send(calls.submit_task(1))
    assert [job.id for job in client.send(calls.list_job_instances_of_task(1))] == [started.job_instance_id]
    assert sign_ins(sandbox) == 1


def test_a_token_of_the_ui_needs_no_sign_in(connect: Connect, sandbox: Sandbox) -> None:
    admin = Blocking(DinkyConfig(sandbox.url, **USER))
    token = admin.send(ApiCall("token", "POST", "/api/token/buildToken", lambda answer: str(answer.data)))
    admin.close()
    sandbox.restart()
    client = connect(DinkyConfig(sandbox.url, token=token))
    client.send(calls.submit_task(1))
    assert client.send(calls.get_task(1)).id == 1
    assert sign_ins(sandbox) == 1


def test_a_server_that_wants_a_token_on_openapi_gets_it(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.ask_for_token(True)
    client = connect(DinkyConfig(sandbox.url, **USER))
    started = [client.send(calls.submit_task(1)).job_instance_id for _ in range(2)]
    assert len(set(started)) == len(sandbox.engine.jobs) == 2
    assert sign_ins(sandbox) == 1
    with pytest.raises(DinkySignInError, match="if Dinky itself does, a user or a token"):
        connect(DinkyConfig(sandbox.url)).send(calls.submit_task(1))
    assert len(sandbox.engine.jobs) == 2


def test_a_gateway_gets_its_header_on_both_ways_in(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.ask_for_header("Authorization", "Bearer hunter22")
    headers = {"Authorization": "Bearer hunter22"}
    for credentials in ({}, USER):
        client = connect(DinkyConfig(sandbox.url, headers=headers, **credentials))
        client.send(calls.submit_task(1))
    assert client.send(calls.get_task(1)).id == 1
    with pytest.raises(DinkySignInError, match="put them into headers of the connection"):
        connect(DinkyConfig(sandbox.url, **USER)).send(calls.submit_task(1))
    assert len(sandbox.engine.jobs) == 2


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_a_sandbox_on_any_address(host: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(speed=60, seed=1, host=host) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_HERE", sandbox.airflow_connection)
        with DinkyHook("here") as hook:
            assert hook.config.base_url == sandbox.url
            assert hook.test_connection()[0]
        started = connect(DinkyConfig(sandbox.url, **USER)).send(calls.submit_task(1))
        port = sandbox.url.rpartition(":")[2]
        assert started.job_manager_address == (f"[::1]:{port}" if host == "::1" else f"{host}:{port}")
