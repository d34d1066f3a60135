# SPDX-License-Identifier: Apache-2.0
"""What the tests of event triggers have in common: fixtures, and short words for what happens to a stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from airflow_provider_dinky.changes import EventKind
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers import job_events
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from tests.unit.quick_time import quicken
from tests.unit.triggers.watching import OWN, SHARED, AssetStore, Triggerer
from tests.unit.watcher.small_dinky import SmallDinky
from tests.unit.watcher.subscribers import until, watchers

STREAM, REPORT, CHECKPOINTED = 1, 2, 10
ALL = tuple(str(kind) for kind in EventKind)
Start = Callable[..., Triggerer]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow stores events as fast as the sandbox lives."""
    monkeypatch.setattr(job_events, "ARRIVED_AFTER", 0.1)


@pytest.fixture(params=[SHARED, OWN])
def way(request: pytest.FixtureRequest) -> str:
    """How Airflow runs the triggers."""
    return str(request.param)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts triggerers, which stop when the test ends; then nobody polls any more."""
    triggerers: list[Triggerer] = []

    def make(way: str = SHARED) -> Triggerer:
        triggerers.append(Triggerer(way))
        return triggerers[-1]

    yield make
    for triggerer in triggerers:
        await triggerer.stops()
    assert not watchers()


@pytest.fixture
def times_logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """How often something was logged: up to Airflow 3.1 each line comes both ways."""
    return lambda text: max("".join(capfd.readouterr()).count(text), caplog.text.count(text))


@pytest.fixture
async def dinky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallDinky]:
    """A small Dinky that counts, on a loop that does not wait; the connection ``counted`` leads to it."""
    if "sandbox" not in request.fixturenames:
        quicken(asyncio.get_running_loop())
    async with SmallDinky() as small_dinky:
        host, port = small_dinky.url.removeprefix("http://").split(":")
        connection: dict[str, Any] = {"conn_type": "dinky", "host": host, "port": int(port), "schema": "http"}
        connection |= {"login": "admin", "password": "admin"}
        monkeypatch.setenv("AIRFLOW_CONN_COUNTED", json.dumps(connection))
        yield small_dinky


def trigger(dinky_task_id: int = STREAM, **kwargs: Any) -> JobStatusEventTrigger:
    return JobStatusEventTrigger(
        dinky_task_id, **{"dinky_conn_id": "signed_in", "poll_interval": 0.05, "settle": 0.5, **kwargs}
    )


def submit(dinky_task_id: int = STREAM) -> int:
    """Start a job and wait until it runs."""
    with DinkyHook("signed_in") as hook:
        job = int(hook.submit_task(dinky_task_id).job_instance_id or 0)
        reaches(hook, job, "RUNNING")
        return job


def settled(sandbox: Sandbox, status: str, dinky_task_id: int = STREAM) -> None:
    """Wait until Dinky shows the task's newest job in a state."""
    with DinkyHook("signed_in") as hook:
        newest = hook.get_latest_job_instance(dinky_task_id)
        assert newest is not None
        reaches(hook, newest.id, status)


def reaches(hook: DinkyHook, job: int, status: str) -> None:
    """Wait until a fresh look shows a job in a state."""
    deadline = time.monotonic() + 60
    while (seen := hook.refresh_job_instance(job).status) != status:
        assert time.monotonic() < deadline, seen


async def started(dinky_task_id: int = STREAM) -> int:
    return await asyncio.to_thread(submit, dinky_task_id)


async def is_watched(sandbox: Sandbox) -> None:
    """The task has been looked at, and once more."""
    looks = [0]

    def looked() -> bool:
        looks[0] = sum("ByTaskId" in request.path for request in list(sandbox.requests))
        return looks[0] >= begun + 2

    begun = sum("ByTaskId" in request.path for request in list(sandbox.requests))
    await until(looked)


def kill(sandbox: Sandbox, error: str = "java.lang.IllegalStateException: no more disk") -> None:
    sandbox.kill_job(sandbox.engine.jobs[-1].jid, error)


def checkpoints(sandbox: Sandbox, jid: str) -> bool:
    """Whether a job has completed a checkpoint that is no savepoint."""
    with DinkyHook("signed_in") as hook:
        known = hook.get_known_state(CHECKPOINTED)
    return known.checkpoint is not None


def told(store: AssetStore) -> Any:
    return next((kept["told"] for key, kept in store.items() if key.startswith("dinky_task_")), None)
