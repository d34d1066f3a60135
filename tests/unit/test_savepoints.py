# SPDX-License-Identifier: Apache-2.0
"""Whose savepoint is whose."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_dinky.client.errors import DinkyConnectionError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.savepoints import (
    is_savepoint_of,
    newest_savepoint,
    newest_savepoint_id,
    take_savepoint,
    taken_since,
)
from tests.sandboxed import sandbox
from tests.unit.streams import STREAM, running

__all__ = ["sandbox"]


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[DinkyHook]:
    with DinkyHook("signed_in") as hook:
        yield hook


@pytest.fixture
def hasty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[DinkyHook]:
    """Signed in, and looks for 0.5 s."""
    connection = {**json.loads(sandbox.airflow_connection), "extra": {"savepoint_timeout": 0.5}}
    monkeypatch.setenv("AIRFLOW_CONN_HASTY", json.dumps(connection))
    with DinkyHook("hasty") as hook:
        yield hook


class TestTakenSince:
    def test_is_newer_than_what_was_known(self, sandbox: Sandbox, hook: DinkyHook) -> None:
        job = running(hook, STREAM)
        first = hook.trigger_savepoint(STREAM).path
        known = newest_savepoint_id(hook, STREAM)
        assert taken_since(hook, STREAM, known, job.job_id, stops=False) is None

        second = hook.trigger_savepoint(STREAM).path
        assert taken_since(hook, STREAM, known, job.job_id, stops=False) == second != first
        assert newest_savepoint(hook, STREAM) == second

    def test_is_of_the_job(self, sandbox: Sandbox, hook: DinkyHook) -> None:
        job = running(hook, STREAM)
        path = hook.trigger_savepoint(STREAM, "stop").path

        assert taken_since(hook, STREAM, 0, job.job_id) == path
        assert taken_since(hook, STREAM, 0, "ffffff0123") is None
        assert taken_since(hook, STREAM, 0, None) == path, "of whichever job, where that is not known"

    @pytest.mark.parametrize(("kind", "counts"), [("trigger", False), ("stop", True), ("cancel", True)])
    def test_is_one_that_stopped_the_job(
        self, sandbox: Sandbox, hook: DinkyHook, kind: str, counts: bool
    ) -> None:
        job = running(hook, STREAM)
        path = hook.trigger_savepoint(STREAM, kind).path  # type: ignore[arg-type]

        assert taken_since(hook, STREAM, 0, job.job_id) == (path if counts else None)

    def test_is_not_shown_to_an_anonymous_caller(self, sandbox: Sandbox, hook: DinkyHook) -> None:
        running(hook, STREAM)
        hook.trigger_savepoint(STREAM, "stop")
        with DinkyHook("anonymous") as anonymous:
            assert taken_since(anonymous, STREAM, 0, None) is None
            assert newest_savepoint_id(anonymous, STREAM) == 0


class TestTake:
    def test_tells_whose_it_is(self, sandbox: Sandbox, hook: DinkyHook) -> None:
        job = running(hook, STREAM)
        taken = take_savepoint(hook, STREAM, "trigger", Pace())

        assert taken.job_id == job.job_id
        assert is_savepoint_of(taken.path, job.job_id)

    @pytest.mark.parametrize("status", [200, 401, 500], ids=["html", "signed out", "a proxy"])
    def test_looks_on_whatever_keeps_dinky_from_being_asked(
        self, sandbox: Sandbox, hook: DinkyHook, status: int
    ) -> None:
        job = running(hook, STREAM)
        sandbox.fault("reset", "/savepoint", when="after")
        sandbox.fault("status", "/listSavepointsByTaskId", status=status)

        taken = take_savepoint(hook, STREAM, "stop", Pace(), known_id=0, job_id=job.job_id)
        assert [taken.path] == list(sandbox.engine.jobs[0].savepoints)

    def test_gives_up_with_what_was_lost(self, sandbox: Sandbox, hasty: DinkyHook) -> None:
        job = running(hasty, STREAM)
        sandbox.fault("reset", "/savepoint", when="before")
        sandbox.fault("status", "/listSavepointsByTaskId", status=200, count=None)

        with pytest.raises(DinkyConnectionError) as failure:
            take_savepoint(hasty, STREAM, "stop", Pace(), known_id=0, job_id=job.job_id)
        assert failure.value.outcome_unknown


def test_is_savepoint_of() -> None:
    assert is_savepoint_of("file:/s/savepoint-abcdef-0123", "abcdef99")
    assert not is_savepoint_of("file:/s/savepoint-abcdee-0123", "abcdef99")
    assert not is_savepoint_of("file:/s/savepoint-None-0123", None)
