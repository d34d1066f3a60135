# SPDX-License-Identifier: Apache-2.0
"""Events over a restart of the triggerer: none is lost, and none comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers import job_events
from airflow_provider_dinky.triggers.event_memory import LOAD_TRIES
from tests.unit.triggers.events import (
    REPORT,
    Start,
    is_watched,
    kill,
    settled,
    started,
    told,
    trigger,
)
from tests.unit.triggers.watching import OWN, AssetStore
from tests.unit.watcher.subscribers import until


async def test_a_change_that_nobody_watched_is_told_once(sandbox: Sandbox, start: Start) -> None:
    store = AssetStore()
    job = await started()
    first = start()
    first.runs(trigger(), store)
    await until(lambda: store)
    await first.stops()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")

    second = start()
    second.runs(trigger(), store)
    assert (await second.event())["job_instance_id"] == job
    await until(lambda: told(store) == ["FAILED"])
    await second.stops()
    third = start()
    third.runs(trigger(), store)
    await third.nothing_comes(0.5)


async def test_neither_lost_nor_twice_if_another_job_runs_by_then(
    sandbox: Sandbox, conn_id: str, start: Start
) -> None:
    store, watch = AssetStore(), trigger(dinky_conn_id=conn_id, states=("FAILED", "RUNNING"))
    failed = await started()
    first = start()
    first.runs(watch, store)
    await until(lambda: store)
    await first.stops()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")
    again = await started()

    second = start()
    second.runs(watch, store)
    events = [await second.event(), await second.event()]
    assert [(event["event"], event["job_instance_id"]) for event in events] == [
        ("FAILED", failed),
        ("RUNNING", again),
    ]
    await second.nothing_comes(0.5)
    await second.stops()
    third = start()
    third.runs(watch, store)
    await third.nothing_comes(0.5)


async def test_a_triggerer_that_dies_with_an_event_sends_it_again_under_the_same_id(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "ARRIVED_AFTER", 1e9)
    store = AssetStore()
    await started()
    first = start()
    first.runs(trigger(states=("FAILED", "RUNNING")), store)
    await is_watched(sandbox)
    kill(sandbox)
    event = await first.event()
    assert told(store) == []
    await first.stops()
    await asyncio.sleep(1.1)

    second = start()
    second.runs(trigger(states=("RUNNING", "FAILED")), store)
    assert await second.event() == event
    await second.nothing_comes(0.3)


async def test_what_is_told_is_kept_only_when_it_has_arrived(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "ARRIVED_AFTER", 0.4)
    store = AssetStore()
    await started()
    triggerer = start()
    triggerer.runs(trigger(), store)
    await is_watched(sandbox)
    kill(sandbox)
    await triggerer.event()
    since = asyncio.get_running_loop().time()
    await until(lambda: told(store) == ["FAILED"])
    assert asyncio.get_running_loop().time() - since >= 0.35


async def test_what_others_look_at_is_a_moment_to_keep_it(sandbox: Sandbox, start: Start) -> None:
    store = AssetStore()
    await started()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")
    triggerer = start()
    triggerer.runs(trigger(poll_interval=3600), store)
    triggerer.runs(trigger(REPORT))
    await triggerer.event()
    await until(lambda: told(store) == ["FAILED"])


async def test_nothing_is_written_while_nothing_changes(sandbox: Sandbox, start: Start) -> None:
    store = AssetStore()
    await started()
    triggerer = start()
    triggerer.runs(trigger(), store)
    for _ in range(3):
        await is_watched(sandbox)
    assert store.written == 1


async def test_other_states_begin_with_a_memory_of_their_own(sandbox: Sandbox, start: Start) -> None:
    store = AssetStore()
    job = await started()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")
    triggerer = start()
    triggerer.runs(trigger(states=("RUNNING",)), store)
    await is_watched(sandbox)
    triggerer.runs(trigger(states=("FAILED",)), store)
    assert (await triggerer.event())["job_instance_id"] == job
    assert len(store) == 2


async def test_without_a_store_a_failure_is_told_again_under_the_same_id(
    sandbox: Sandbox, start: Start
) -> None:
    await started()
    first, second = start(OWN), start(OWN)
    first.runs(trigger())
    await is_watched(sandbox)
    kill(sandbox)
    event = await first.event()
    await first.stops()
    second.runs(trigger())
    assert (await second.event())["event_id"] == event["event_id"]


async def test_several_assets_of_one_trigger(
    sandbox: Sandbox, start: Start, times_logged: Callable[[str], int]
) -> None:
    store = AssetStore()
    store.broken = ValueError("Task has 2 concrete inlets and outlets")
    await started()
    triggerer = start()
    triggerer.runs(trigger(), store)
    await is_watched(sandbox)
    kill(sandbox)
    await triggerer.event()
    await triggerer.nothing_comes(0.3)

    assert store == {}
    assert times_logged("Nothing is kept over a restart of the triggerer") == 1


async def test_a_store_that_cannot_be_read_now(sandbox: Sandbox, start: Start) -> None:
    store = AssetStore()
    await started()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")
    first, second = start(), start()
    first.runs(trigger(), store)
    await first.event()
    await until(lambda: told(store) == ["FAILED"])
    await first.stops()

    store.broken = RuntimeError("no database")
    second.runs(trigger(poll_interval=0.3), store)
    await is_watched(sandbox)
    store.broken = None
    await second.nothing_comes(1.0)


async def test_one_that_is_never_read_is_done_without(
    sandbox: Sandbox, start: Start, times_logged: Callable[[str], int]
) -> None:
    store = AssetStore()
    store.broken = RuntimeError("no database")
    await started()
    kill(sandbox)
    await asyncio.to_thread(settled, sandbox, "FAILED")
    triggerer = start()
    triggerer.runs(trigger(), store)
    await triggerer.event()
    assert times_logged("cannot be read, trying on") == LOAD_TRIES - 1


async def test_one_that_cannot_be_written_now(
    sandbox: Sandbox, start: Start, times_logged: Callable[[str], int]
) -> None:
    store = AssetStore()
    await started()
    triggerer = start()
    triggerer.runs(trigger(), store)
    await until(lambda: store)
    store.broken = RuntimeError("no database")
    kill(sandbox)
    await triggerer.event()
    await asyncio.sleep(0.3)
    store.broken = None
    await until(lambda: told(store) == ["FAILED"])
    assert times_logged("cannot be written") == 1
