# SPDX-License-Identifier: Apache-2.0
"""Events while Dinky is in trouble, or we are: none is lost, and no trigger dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_dinky import event_payload, resume_paths
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers import job_events
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from tests.unit.triggers.events import (
    ALL,
    CHECKPOINTED,
    Start,
    checkpoints,
    is_watched,
    kill,
    started,
    trigger,
)
from tests.unit.triggers.watching import AssetStore
from tests.unit.watcher.small_dinky import SINGLE, SmallDinky, bad_gateway
from tests.unit.watcher.subscribers import until


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 502},
        {"kind": "reset"},
        {"kind": "reset", "when": "after"},
        {"kind": "body", "body": "<html>not JSON"},
    ],
    ids=str,
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_fault_loses_nothing(
    sandbox: Sandbox, conn_id: str, start: Start, fault: dict[str, Any], when: str
) -> None:
    store, details = AssetStore(), dict(fault)
    job = await started()
    triggerer = start()
    triggerer.runs(trigger(dinky_conn_id=conn_id), store)
    await is_watched(sandbox)
    if when == "after":
        kill(sandbox)
    met = sandbox.fault(details.pop("kind"), "", count=6, **details)
    if when == "before":
        await until(lambda: met.hits)
        kill(sandbox)
    event = await triggerer.event(20)
    assert (event["event"], event["job_instance_id"]) == ("FAILED", job)
    await triggerer.nothing_comes(0.3)


async def test_a_restart_of_dinky_loses_nothing(sandbox: Sandbox, conn_id: str, start: Start) -> None:
    await started()
    triggerer = start()
    triggerer.runs(trigger(dinky_conn_id=conn_id))
    await is_watched(sandbox)
    await asyncio.to_thread(sandbox.restart, 30, wait=False)
    kill(sandbox)
    assert (await triggerer.event(20))["event"] == "FAILED"


async def test_dinky_has_lost_its_database(sandbox: Sandbox, start: Start) -> None:
    triggerer = start()
    triggerer.runs(trigger(states=("DOWN", "RUNNING"), down_after=0.3))
    assert (await triggerer.event())["event"] == "DOWN"
    await started()
    assert (await triggerer.event())["event"] == "RUNNING"
    await asyncio.to_thread(sandbox.restart, keep_memory=False)
    event = await triggerer.event()
    assert (event["event"], event["job_instance_id"]) == ("DOWN", None)


async def test_facts_that_cannot_be_had_in_time_are_left_out(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "FACTS_PATIENCE", 0.5)
    job = await started()
    triggerer = start()
    triggerer.runs(trigger())
    await is_watched(sandbox)
    sandbox.fault("hang", "/api/", count=None)
    kill(sandbox)
    event = await triggerer.event()

    assert event["reason"] == "neither Dinky nor Flink tells the reason"
    assert event["dinky_url"] == f"{sandbox.url}/#/devops/job-detail?id={job}"


async def test_a_disk_that_lets_one_wait_holds_up_no_event(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, looking, local = threading.Event(), threading.Event(), resume_paths._local

    def slow(path: str) -> Path | None:
        looking.set()
        answers.wait(5)
        return local(path)

    monkeypatch.setattr(job_events, "FACTS_PATIENCE", 1.0)
    monkeypatch.setattr(resume_paths, "_local", slow)
    await started(CHECKPOINTED)
    # Flink refuses a savepoint before all tasks run, which a checkpoint proves.
    await until(lambda: checkpoints(sandbox, sandbox.engine.jobs[-1].jid))
    with DinkyHook("signed_in") as hook:
        await asyncio.to_thread(hook.trigger_savepoint, CHECKPOINTED)
    triggerer = start()
    triggerer.runs(trigger(CHECKPOINTED))
    await is_watched(sandbox)
    kill(sandbox)
    try:
        event = await triggerer.event()
    finally:
        answers.set()

    assert looking.is_set()
    assert event["reason"] == "java.lang.IllegalStateException: no more disk"
    assert event["newest_savepoint"] is None


async def test_a_bug_costs_the_facts_and_not_the_event(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def bug(*_: Any) -> Any:
        raise LookupError("a bug")

    monkeypatch.setattr(event_payload, "fact_steps", bug)
    job = await started()
    triggerer = start()
    triggerer.runs(trigger())
    await is_watched(sandbox)
    kill(sandbox)
    event = await triggerer.event()
    assert (event["job_instance_id"], event["dinky_url"] is None) == (job, False)
    assert "please report it with: airflow-provider-dinky" in logged()


async def test_a_bug_costs_a_look_and_not_the_trigger(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    look, left = JobStatusEventTrigger._look, [2]

    async def bug(self: JobStatusEventTrigger, board: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise LookupError("a bug")
        return await look(self, board)

    monkeypatch.setattr(JobStatusEventTrigger, "_look", bug)
    await started()
    kill(sandbox)
    triggerer = start()
    triggerer.runs(trigger())
    assert (await triggerer.event())["event"] == "FAILED"
    assert "This look is left out" in logged()


async def test_a_task_that_is_not_there_is_said_once(
    sandbox: Sandbox, conn_id: str, start: Start, times_logged: Callable[[str], int]
) -> None:
    triggerer = start()
    triggerer.runs(trigger(999, dinky_conn_id=conn_id, states=ALL, down_after=0.1))
    await triggerer.nothing_comes(0.6)
    assert times_logged("Dinky task 999 cannot be watched, trying on") == 1


async def test_a_bad_connection_is_said(start: Start, logged: Callable[[], str]) -> None:
    triggerer = start()
    triggerer.runs(trigger(dinky_conn_id="no_such_one"))
    await triggerer.nothing_comes(0.5)
    assert "no_such_one" in logged()


@pytest.mark.parametrize("gone", [False, True])
async def test_an_earlier_run_that_cannot_be_looked_up_now(
    dinky: SmallDinky, start: Start, gone: bool
) -> None:
    dinky.newest = {1: 101}
    store, triggerer = AssetStore(), start()
    triggerer.runs(trigger(1, dinky_conn_id="counted", states=("FAILED",)), store)
    await until(lambda: store)
    dinky.status[101] = "FAILED"
    if gone:
        dinky.unknown = {101}
    left = 3

    def trouble(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left == 0:
            del dinky.instead[SINGLE]
        return bad_gateway(request)

    dinky.instead[SINGLE] = trouble
    dinky.newest = {1: 102}
    if gone:
        await until(lambda: next(iter(store.values()))["job_instance_id"] == 102)
        await triggerer.nothing_comes(0.2)
    else:
        assert (await triggerer.event())["job_instance_id"] == 101
    assert left == 0
    assert dinky.count(SINGLE) == 4
