# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers import on_kill
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger
from tests.airflow_task import rebuilt

STREAM, REPORT, FAILING = 1, 2, 4
POLLED = {"signed_in": "/openapi/getJobInstance", "anonymous": "/openapi/getJobInstance"}
"""Where a connection's jobs are asked for."""


def start(dinky_task_id: int) -> int:
    with DinkyHook("signed_in") as hook:
        return int(hook.submit_task(dinky_task_id).job_instance_id or 0)


def trigger(job_instance_id: int | None, **kwargs: Any) -> JobStatusTrigger:
    return JobStatusTrigger(
        job_instance_id, **{"dinky_conn_id": "signed_in", "poll_interval": 0.02, **kwargs}
    )


async def only_event(trigger: JobStatusTrigger) -> dict[str, Any]:
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    assert json.loads(json.dumps(events[0])) == events[0]
    return dict(events[0])


async def test_carries_the_last_state_and_no_verdict(sandbox: Sandbox, conn_id: str) -> None:
    job = start(FAILING)
    event = await only_event(trigger(job, dinky_conn_id=conn_id))

    assert event == {
        "v": 1,
        "kind": "state",
        "job_instance_id": job,
        "job_id": sandbox.engine.jobs[0].jid,
        "status": "FAILED",
        "since": event["since"],
        "error": None,
    }


def test_is_made_anew_from_json() -> None:
    original = trigger(
        7, wait_for="running", unknown_timeout=5, max_outage=6, dinky_task_id=3, cancel_on_kill="cancel"
    )
    path, kwargs = original.serialize()

    assert path == "airflow_provider_dinky.triggers.dinky.JobStatusTrigger"
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert rebuilt(original).serialize() == (path, kwargs)
    assert not {"task_id", "task_instance", "task"} & set(kwargs)


async def test_waits_for_a_job_that_is_not_there_yet(sandbox: Sandbox, conn_id: str) -> None:
    waiting = asyncio.create_task(
        only_event(trigger(None, dinky_conn_id=conn_id, dinky_task_id=REPORT, newer_than_job_instance_id=0))
    )
    while not any("ByTaskId" in request.path for request in sandbox.requests):
        await asyncio.sleep(0.005)
    job = await asyncio.to_thread(start, REPORT)

    assert (await waiting)["job_instance_id"] == job


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 502},
        {"kind": "reset"},
        {"kind": "reset", "when": "after"},
        {"kind": "body", "body": "<html>not JSON"},
        {"kind": "body", "body": '{"data": {"id'},
    ],
    ids=str,
)
async def test_waits_out_trouble(sandbox: Sandbox, conn_id: str, fault: dict[str, Any]) -> None:
    job = start(REPORT)
    details = dict(fault)
    met = sandbox.fault(details.pop("kind"), POLLED[conn_id], count=3, **details)

    assert (await only_event(trigger(job, dinky_conn_id=conn_id)))["status"] == "FINISHED"
    assert met.hits


async def test_waits_out_a_restart_of_dinky(sandbox: Sandbox, conn_id: str) -> None:
    job = start(REPORT)
    sandbox.restart(down_for=10, wait=False)

    assert (await only_event(trigger(job, dinky_conn_id=conn_id)))["status"] == "FINISHED"


async def test_gives_up_after_an_outage_too_long_and_says_why(sandbox: Sandbox, conn_id: str) -> None:
    job = start(STREAM)
    sandbox.fault("status", POLLED[conn_id], count=None, status=503)
    event = await only_event(trigger(job, dinky_conn_id=conn_id, max_outage=0.1))

    assert event["kind"] == "unreadable"
    assert event["job_instance_id"] == job
    assert "no answer for" in event["error"]
    assert "HTTP 503" in event["error"]


async def test_says_that_the_job_is_not_known(sandbox: Sandbox, conn_id: str) -> None:
    event = await only_event(trigger(999, dinky_conn_id=conn_id))
    assert event["kind"] == "unreadable"
    assert "job instance 999" in event["error"]


async def test_says_that_the_connection_is_missing_or_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BAD", '{"conn_type": "dinky", "host": ""}')

    assert "field 'host' is empty" in (await only_event(trigger(1, dinky_conn_id="bad")))["error"]
    assert "no_such_one" in (await only_event(trigger(1, dinky_conn_id="no_such_one")))["error"]


async def test_looks_anew_at_a_job_out_of_sight(sandbox: Sandbox) -> None:
    job = start(REPORT)
    sandbox.set_status(job, "UNKNOWN")

    assert (await only_event(trigger(job)))["status"] == "FINISHED"


async def test_tells_of_a_job_that_stays_out_of_sight(sandbox: Sandbox) -> None:
    job = start(STREAM)
    sandbox.set_status(job, "UNKNOWN")
    event = await only_event(trigger(job, dinky_conn_id="anonymous", unknown_timeout=0.1))

    assert event["status"] == "UNKNOWN"
    assert event["since"] >= 0.1


@pytest.fixture
def ended_by_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow says that a user has marked the task failed."""

    async def state(task_instance: Any) -> tuple[str | None, int | None]:
        return "failed", 1

    monkeypatch.setattr(on_kill, "state_in_airflow", state)


@pytest.mark.usefixtures("ended_by_user")
class TestOnKill:
    async def killed(self, **kwargs: Any) -> None:
        job = await asyncio.to_thread(start, STREAM)
        await trigger(job, dinky_task_id=STREAM, **kwargs).on_kill()

    async def test_leaves_the_job_by_default(self, sandbox: Sandbox) -> None:
        await self.killed()
        assert sandbox.engine.jobs[0].state in ("INITIALIZING", "RUNNING")

    async def test_cancels(self, sandbox: Sandbox, conn_id: str) -> None:
        await self.killed(cancel_on_kill="cancel", dinky_conn_id=conn_id)
        assert sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")

    async def test_leaves_another_job_of_the_task(self, sandbox: Sandbox, conn_id: str) -> None:
        """Dinky would cancel that one; ours is cancelled in Flink, signed in."""
        job = await asyncio.to_thread(start, STREAM)
        await asyncio.to_thread(start, STREAM)
        how = {"cancel_on_kill": "cancel", "dinky_conn_id": conn_id}
        await trigger(job, dinky_task_id=STREAM, **how).on_kill()

        ours, other = sandbox.engine.jobs
        stopped = ("CANCELLING", "CANCELED")
        assert (ours.state in stopped, other.state in stopped) == (conn_id == "signed_in", False)
        assert not any("cancel" in request.path for request in sandbox.requests)

    async def test_never_raises(self, sandbox: Sandbox) -> None:
        sandbox.fault("reset", "", count=None)
        await trigger(1, dinky_task_id=STREAM, cancel_on_kill="cancel").on_kill()

    async def test_cancelled_again_and_again_while_dinky_is_slow(
        self, sandbox: Sandbox, conn_id: str
    ) -> None:
        job = await asyncio.to_thread(start, STREAM)
        sandbox.fault("latency", "", count=None, seconds=20.0)
        killing = asyncio.create_task(
            trigger(job, dinky_task_id=STREAM, cancel_on_kill="cancel", dinky_conn_id=conn_id).on_kill()
        )
        # Airflow cancels the trigger's task with each of its syncs, and swallows what comes of it.
        await asyncio.sleep(0.05)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        deadline = time.monotonic() + 15
        while sandbox.engine.jobs[0].state not in ("CANCELLING", "CANCELED"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def test_it_has_a_time_limit(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr(on_kill, "STOP_TIMEOUT", 0.2)
        sandbox.fault("hang", "", count=None)
        await asyncio.wait_for(trigger(1, dinky_task_id=STREAM, cancel_on_kill="cancel").on_kill(), 5)
        assert "whether job instance 1 of Dinky task 1 was stopped is not known: no answer within" in logged()


class TestOnKillNeedsProof:
    @pytest.mark.parametrize(
        ("state", "try_number", "stops"),
        [
            ("failed", 1, True),
            ("success", 1, True),
            (None, 1, True),
            ("running", 2, True),
            ("scheduled", 2, True),
            ("deferred", 1, False),
            ("deferred", 2, False),
            ("queued", 1, False),
            ("running", 1, False),
            ("up_for_retry", 1, False),
            ("running", None, False),
        ],
    )
    async def test_that_a_user_has_ended_the_task(
        self,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        state: str | None,
        try_number: int | None,
        stops: bool,
    ) -> None:
        async def told(task_instance: Any) -> tuple[str | None, int | None]:
            return state, try_number

        monkeypatch.setattr(on_kill, "state_in_airflow", told)
        job = await asyncio.to_thread(start, STREAM)
        one = trigger(job, dinky_task_id=STREAM, cancel_on_kill="cancel")
        # With a setter, so that it counts before what Airflow 2 has set on the trigger itself.
        in_try_1 = property(lambda self: SimpleNamespace(try_number=1), lambda self, value: None)
        monkeypatch.setattr(type(one), "task_instance", in_try_1, raising=False)
        await one.on_kill()
        assert (sandbox.engine.jobs[0].state in ("CANCELLING", "CANCELED")) is stops

    async def test_where_airflow_cannot_be_asked_the_job_is_left_alone(
        self, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        job = await asyncio.to_thread(start, STREAM)
        await trigger(job, dinky_task_id=STREAM, cancel_on_kill="cancel").on_kill()
        assert sandbox.engine.jobs[0].state in ("INITIALIZING", "RUNNING")
        assert "is left alone, although cancel_on_kill='cancel': Airflow does not say" in logged()

    @pytest.mark.usefixtures("ended_by_user")
    async def test_a_triggerer_that_stood_still_stops_nothing(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr(on_kill, "STOOD_STILL", 0.3)
        monkeypatch.setattr(on_kill, "BEAT", 0.05)
        job = await asyncio.to_thread(start, STREAM)
        one = trigger(job, dinky_task_id=STREAM, cancel_on_kill="cancel")
        running = asyncio.create_task(only_event(one))
        await asyncio.sleep(0.2)
        time.sleep(0.5)  # The whole process stands still.
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.on_kill()
        assert sandbox.engine.jobs[0].state in ("INITIALIZING", "RUNNING")
        assert "the triggerer has stood still" in logged()


async def test_a_cancelled_trigger_leaves_the_job_alone(sandbox: Sandbox, conn_id: str) -> None:
    job = start(STREAM)
    cancelling = trigger(job, dinky_conn_id=conn_id, dinky_task_id=STREAM, cancel_on_kill="cancel")
    running = asyncio.create_task(only_event(cancelling))
    while not any(request.path == POLLED[conn_id] for request in sandbox.requests):
        await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not any("cancel" in request.path for request in sandbox.requests)
