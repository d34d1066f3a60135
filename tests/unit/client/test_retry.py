# SPDX-License-Identifier: Apache-2.0
"""What is sent again: every kind of error, for what may be repeated and what must not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from tenacity import Retrying

from airflow_provider_dinky.client import calls, flink
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.errors import (
    AmbiguousSubmitError,
    DinkyConfigError,
    DinkyConnectionError,
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
)
from airflow_provider_dinky.client.retry import NO_RETRY, RetryFor, policy
from airflow_provider_dinky.client.wire import SessionLost, TenantNotSet

REPEATABLE = [
    calls.version(),
    calls.get_job_instance(7),
    calls.list_history(7),
    calls.export_sql(7),
    calls.explain_sql({}),
]
ONCE = [
    calls.submit_task(7),
    calls.restart_task(7),
    calls.restart_task(7, via_api=True),
    calls.cancel_task(7),
    calls.cancel_task(7, via_api=True),
    calls.trigger_savepoint(7),
    calls.trigger_savepoint(7, "stop", via_api=True),
]
NOTHING_SENT = DinkyConnectionError("refused", sent=False)
MAYBE_SENT = DinkyConnectionError("reset", sent=True)
NO_EFFECT = [SessionLost("signed out"), TenantNotSet("no task", code=1, reason="no task")]
FINAL = [
    DinkyConfigError("bad"),
    DinkyResponseError("no JSON"),
    DinkySignInError("wrong password"),
    DinkyRefusedError("no", code=1, reason="no"),
    DinkyNotFoundError("no", code=1, reason="no"),
    AmbiguousSubmitError("?"),
    ValueError("a bug"),
    KeyboardInterrupt(),
]


def sends(call: ApiCall[Any], error: BaseException, retry_for: RetryFor | None = None) -> int:
    """How often a call is sent that meets the error twice, and then works."""
    met = iter([error, error])
    sent = 0

    def send() -> None:
        nonlocal sent
        sent += 1
        if (trouble := next(met, None)) is not None:
            raise trouble

    with suppress(type(error)):
        Retrying(sleep=lambda seconds: None, **policy(call, retry_for or RetryFor()))(send)
    return sent


@pytest.mark.parametrize("call", REPEATABLE, ids=lambda call: call.what)
@pytest.mark.parametrize("error", [NOTHING_SENT, MAYBE_SENT, *NO_EFFECT], ids=repr)
def test_reads_are_sent_again(call: ApiCall[Any], error: DinkyError) -> None:
    assert sends(call, error) == 3


@pytest.mark.parametrize("call", ONCE, ids=lambda call: call.path + call.what)
@pytest.mark.parametrize("error", [NOTHING_SENT, *NO_EFFECT], ids=repr)
def test_what_acts_is_sent_again_if_it_had_no_effect(call: ApiCall[Any], error: DinkyError) -> None:
    assert sends(call, error) == 3


@pytest.mark.parametrize("call", ONCE, ids=lambda call: call.path + call.what)
def test_what_acts_is_not_sent_again_if_it_may_have_had_an_effect(call: ApiCall[Any]) -> None:
    assert not call.repeatable
    assert sends(call, MAYBE_SENT) == 1


@pytest.mark.parametrize("call", [*REPEATABLE, *ONCE], ids=lambda call: call.path + call.what)
@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_anything_else_is_final(call: ApiCall[Any], error: BaseException) -> None:
    assert sends(call, error) == 1


@pytest.mark.parametrize("via_dinky", [False, True])
def test_flink_is_asked_once(via_dinky: bool) -> None:
    call = flink.job_checkpoints("jm:8081", "a1", via_dinky=via_dinky)
    assert sends(call, NOTHING_SENT) == sends(call, MAYBE_SENT) == 1
    assert sends(call, NO_EFFECT[0]) == 3


@pytest.mark.parametrize(
    ("error", "retry_for"),
    [
        (NOTHING_SENT, RetryFor(connection=0)),
        (NO_EFFECT[0], RetryFor(sign_in=0)),
        (NO_EFFECT[1], RetryFor(tenant=0)),
        (NOTHING_SENT, NO_RETRY),
        (NO_EFFECT[0], NO_RETRY),
        (NO_EFFECT[1], NO_RETRY),
    ],
)
def test_each_trouble_is_waited_out_for_its_own_time(error: DinkyError, retry_for: RetryFor) -> None:
    assert sends(calls.export_sql(7), error, retry_for) == 1


def test_pauses_grow_at_random_and_are_short_for_the_tenant() -> None:
    def pauses(error: DinkyError) -> list[float]:
        taken: list[float] = []
        met = iter([error] * 12)

        def send() -> None:
            if (trouble := next(met, None)) is not None:
                raise trouble

        Retrying(sleep=taken.append, **policy(calls.export_sql(7), RetryFor(1000, 1000, 1000)))(send)
        return taken

    longest = [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8]
    for error in (NOTHING_SENT, NO_EFFECT[0]):
        taken = pauses(error)
        assert all(limit / 10 <= pause <= limit for pause, limit in zip(taken, longest, strict=True))
        assert pauses(error) != taken
    assert all(0.05 <= pause <= 0.5 for pause in pauses(NO_EFFECT[1]))
