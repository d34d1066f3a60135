# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that run operators, sensors and triggers against a sandbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_dinky import new_start
from airflow_provider_dinky.jobs import gone
from airflow_provider_dinky.operations import concurrent, stop
from airflow_provider_dinky.sandbox import Sandbox

SPEED = 60
"""How much faster than ours Dinky's time goes by."""

WAITED_FOR_A_FACT = {
    "operations.concurrent.STATE_LAG": concurrent.STATE_LAG,
    "operations.stop.STATE_LAG": stop.STATE_LAG,
    "new_start.STATE_LAG": new_start.STATE_LAG,
    "operations.inspect_job.CONFIRM_AFTER": gone.CONFIRM_AFTER,
    "jobs.follower.CONFIRM_AFTER": gone.CONFIRM_AFTER,
}
"""Where it is written how long something is waited for that Dinky or Flink shows late, in seconds."""


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox; the connections ``signed_in`` and ``anonymous`` lead to it.

    Without the tenant quirk, unless the test is marked ``quirks``: a refusal would take the fault meant for an answer.
    """
    quirks = request.node.get_closest_marker("quirks") is not None
    with Sandbox(speed=SPEED, seed=1, quirks=quirks) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_SIGNED_IN", sandbox.airflow_connection)
        monkeypatch.setenv("AIRFLOW_CONN_ANONYMOUS", sandbox.anonymous_airflow_connection)
        yield sandbox


@pytest.fixture(params=["signed_in", "anonymous"])
def conn_id(request: pytest.FixtureRequest) -> str:
    """Each way in."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["blocking", "deferrable"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    """Each way of waiting."""
    return bool(request.param)


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What the task has logged: on the standard output, or only through ``logging``, which depends on the Airflow."""

    def said() -> str:
        printed = "".join(capfd.readouterr())
        unprinted = (
            line for line in map(logging.LogRecord.getMessage, caplog.records) if line not in printed
        )
        return "\n".join((printed, *unprinted))

    return said
