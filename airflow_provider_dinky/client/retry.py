# SPDX-License-Identifier: Apache-2.0
"""When a call is sent again, and how long that goes on: one rule for both clients.

========================================  =====================================================
what happened                             sent again
========================================  =====================================================
connection refused                        always: nothing was sent
time-out, reset, HTTP 5xx                 only what is repeatable: never a submit, restart, cancel, savepoint
signed out (HTTP 401)                     always: it comes before any effect; at random moments, so that two
                                          sides pushing each other out come through
no answer of Flink's own REST API         never: it is asked beside the way
a task refused for want of a tenant       always: no effect; quickly, since every try is another worker thread
anything else                             never
========================================  =====================================================
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, TypedDict

from tenacity import RetryCallState, retry_if_exception, stop_any
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.errors import DinkyConnectionError
from airflow_provider_dinky.client.wire import SessionLost, TenantNotSet


@dataclass(frozen=True)
class RetryFor:
    """How long each kind of trouble is waited out, in seconds."""

    connection: float = 60.0
    sign_in: float = 60.0
    tenant: float = 60.0


NO_RETRY = RetryFor(connection=0, sign_in=0, tenant=0)
HASTY = RetryFor(connection=0, sign_in=3, tenant=3)
"""For a task that is being killed: what comes before any effect is still tried again, but shortly."""


class RetryPolicy(TypedDict):
    """Arguments of tenacity's ``Retrying`` and ``AsyncRetrying``."""

    retry: Any
    wait: Any
    stop: Any
    reraise: bool


def policy(call: ApiCall[Any], retry_for: RetryFor) -> RetryPolicy:
    """The rule above for one call."""
    return RetryPolicy(
        retry=retry_if_exception(lambda error: _worth_it(error, call)),
        wait=_Wait(),
        stop=stop_any(_Patience(retry_for)),
        reraise=True,
    )


def _worth_it(error: BaseException, call: ApiCall[Any]) -> bool:
    if isinstance(error, SessionLost | TenantNotSet):
        return True
    if call.patience == "flink":
        return False
    return isinstance(error, DinkyConnectionError) and (call.repeatable or not error.outcome_unknown)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


class _Wait(wait_base):
    def __call__(self, retry_state: RetryCallState) -> float:
        longest = min(8.0, 0.25 * 2 ** min(retry_state.attempt_number, 6))
        if isinstance(_error(retry_state), TenantNotSet):
            longest = min(0.5, longest)
        return random.uniform(longest / 10, longest)


class _Patience(stop_base):
    def __init__(self, retry_for: RetryFor) -> None:
        self._retry_for = retry_for

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        if isinstance(error, SessionLost):
            limit = self._retry_for.sign_in
        elif isinstance(error, TenantNotSet):
            limit = self._retry_for.tenant
        else:
            limit = self._retry_for.connection
        # What was slept counts even where sleeping takes no time, as on a test's virtual clock.
        spent = max(retry_state.seconds_since_start or 0, retry_state.idle_for)
        return spent + retry_state.upcoming_sleep > limit
