# SPDX-License-Identifier: Apache-2.0
"""Many jobs share one poll loop, one session and one sign-in."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger
from tests.unit.watcher.small_dinky import LIST, SIGN_IN, SINGLE, SmallDinky
from tests.unit.watcher.subscribers import Subscribe, until

REPORT, FAILING = 2, 4
ENDS = {REPORT: "FINISHED", FAILING: "FAILED"}


async def submit(sandbox: Sandbox, tasks: list[int]) -> list[SubmitResult]:
    async with AsyncDinkyClient(DinkyConfig(sandbox.url)) as client:
        return await asyncio.gather(*(client.send(calls.submit_task(task)) for task in tasks))


async def only_event(trigger: JobStatusTrigger) -> dict[str, Any]:
    (event,) = [event async for event in trigger.run()]
    return dict(json.loads(json.dumps(event.payload)))


async def test_each_trigger_gets_its_own_event(sandbox: Sandbox, conn_id: str) -> None:
    tasks = [REPORT, FAILING] * 150
    jobs = await submit(sandbox, tasks)
    before = len(sandbox.requests)
    interval, began = 0.2, asyncio.get_running_loop().time()
    triggers = [JobStatusTrigger(job.job_instance_id, conn_id, poll_interval=interval) for job in jobs]
    events = await asyncio.gather(*map(only_event, triggers))
    intervals = (asyncio.get_running_loop().time() - began) / interval

    assert [
        (event["kind"], event["job_instance_id"], event["job_id"], event["status"]) for event in events
    ] == [
        ("state", job.job_instance_id, job.job_id, ENDS[task]) for job, task in zip(jobs, tasks, strict=True)
    ]
    asked = Counter(request.path for request in sandbox.requests[before:])
    if conn_id == "signed_in":
        assert asked[SIGN_IN] == 1
        assert asked[SINGLE] == 0
        assert 1 <= asked[LIST] <= 2 * intervals + 2
    else:
        assert set(asked) == {SINGLE}
        assert asked[SINGLE] <= len(jobs) * (intervals + 2)


async def test_a_list_asks_for_a_thousand(dinky: SmallDinky, subscribe: Subscribe) -> None:
    for job in range(1, 2501):
        subscribe(dinky.signed_in, job, poll_interval=60)
    await until(lambda: len(dinky.looks()) == 2500, within=20)

    assert [len(asked.ids) for asked in dinky.asked if asked.path == LIST] == [1000, 1000, 500]
    assert dinky.count(SIGN_IN) == 1
    assert dinky.most_at_once == 1


async def test_without_credentials_sixteen_at_a_time(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.takes = 0.01
    for job in range(1, 301):
        subscribe(dinky.anonymous, job, poll_interval=60)
    await until(lambda: len(dinky.looks()) == 300)

    assert dinky.most_at_once == 16
    assert dinky.most_connections == 16
    # The regular moment of a few may come right after their first look.
    assert sum(dinky.looks().values()) <= 400


async def test_without_credentials_spread_over_the_interval(dinky: SmallDinky, subscribe: Subscribe) -> None:
    jobs, interval, tick = 200, 1.0, 0.1
    for job in range(1, jobs + 1):
        subscribe(dinky.anonymous, job, poll_interval=interval)

    def is_spread() -> bool:
        shares = Counter(asked.time // tick for asked in dinky.asked[-jobs:])
        return len(dinky.asked) >= 2 * jobs and max(shares.values()) <= 0.2 * jobs

    # A slow machine may bunch some up for a while.
    await until(is_spread, within=15)
    assert max(dinky.looks().values()) <= min(dinky.looks().values()) + 2


@pytest.mark.parametrize("ways_in", [("signed_in", "signed_in"), ("signed_in", "anonymous")])
async def test_each_connection_has_a_session_of_its_own(
    dinky: SmallDinky, subscribe: Subscribe, ways_in: tuple[str, str]
) -> None:
    for number, way_in in enumerate(ways_in, 1):
        subscribe(getattr(dinky, way_in), number, conn_id=f"connection{number}", poll_interval=0.05)
    await until(lambda: min(dinky.looks()[1], dinky.looks()[2]) >= 3)

    assert dinky.connections == 2
