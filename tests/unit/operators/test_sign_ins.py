# SPDX-License-Identifier: Apache-2.0
"""What a deferred task costs in sign-ins, each of which pushes out those of other processes of the same user."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.session import Session, forget_sessions
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import StateStore, execute, new_context

TASKS = 4
BOUNDED = 2


def sign_ins(sandbox: Sandbox) -> int:
    return sum(request.path == "/api/login" for request in sandbox.requests)


def run(sandbox: Sandbox, conn_id: str, number: int) -> None:
    """One deferred task, in a process of its own, to the end of its job."""
    forget_sessions()
    operator = SubmitTaskOperator(
        task_id=f"t{number}",
        dinky_task_id=BOUNDED,
        dinky_conn_id=conn_id,
        wait_for="finished",
        deferrable=True,
        poll_interval=0.2,
    )
    assert execute(operator, new_context(operator, store=StateStore()))


def test_a_password_costs_one_sign_in_and_a_half_at_most(sandbox: Sandbox) -> None:
    for number in range(TASKS):
        run(sandbox, "signed_in", number)
    assert 1 <= sign_ins(sandbox) <= 1.5 * TASKS


def test_a_token_costs_none(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with DinkyClient(DinkyHook("signed_in").config, session=Session()) as admin:
        token = admin.send(ApiCall("token", "POST", "/api/token/buildToken", lambda answer: str(answer.data)))
    sandbox.restart()
    connection = {**json.loads(sandbox.anonymous_airflow_connection), "password": token}
    monkeypatch.setenv("AIRFLOW_CONN_WITH_TOKEN", json.dumps(connection))
    before = sign_ins(sandbox)
    for number in range(TASKS):
        run(sandbox, "with_token", number)
    with DinkyHook("with_token") as hook:
        assert hook.client.send(calls.get_task(BOUNDED)).id == BOUNDED
    assert sign_ins(sandbox) == before
