# SPDX-License-Identifier: Apache-2.0
"""Trouble on the way is waited out by one for all; what cannot be waited out is said."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger
from tests.unit.watcher.small_dinky import LIST, REFRESH, SINGLE, SmallDinky, bad_gateway
from tests.unit.watcher.subscribers import Subscribe, Subscriber, until, watchers

REPORT, FAILING = 2, 4
ENDS = {REPORT: "FINISHED", FAILING: "FAILED"}
POLLS = {"signed_in": LIST, "anonymous": SINGLE}
FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "status": 502},
    {"kind": "reset"},
    {"kind": "reset", "when": "after"},
    {"kind": "body", "body": "<html>not JSON"},
    {"kind": "body", "body": '{"data": [{"id"'},
    {"kind": "body", "body": "[]"},
]


async def start(tasks: list[int]) -> dict[int, str]:
    """Start jobs; returns how each must end."""

    def submit() -> dict[int, str]:
        with DinkyHook("anonymous") as hook:
            return {int(hook.submit_task(task).job_instance_id or 0): ENDS[task] for task in tasks}

    return await asyncio.to_thread(submit)


async def events(jobs: dict[int, str], conn_id: str, **settings: Any) -> dict[int, str | None]:
    async def only_event(job: int) -> dict[str, Any]:
        trigger = JobStatusTrigger(job, conn_id, **{"poll_interval": 0.05, **settings})
        (event,) = [event async for event in trigger.run()]
        return dict(event.payload)

    seen = await asyncio.gather(*map(only_event, jobs))
    return {event["job_instance_id"]: event["status"] for event in seen}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_no_event_is_lost_or_wrong(sandbox: Sandbox, conn_id: str, fault: dict[str, Any]) -> None:
    jobs = await start([REPORT, FAILING] * 4)
    details = dict(fault)
    sandbox.fault(details.pop("kind"), POLLS[conn_id], count=4, **details)

    assert await events(jobs, conn_id) == jobs


async def test_a_restart_of_dinky(sandbox: Sandbox, conn_id: str) -> None:
    jobs = await start([REPORT, FAILING] * 10)
    following = asyncio.create_task(events(jobs, conn_id))
    await until(lambda: any(request.path == POLLS[conn_id] for request in sandbox.requests))
    sandbox.restart(down_for=30, wait=False)

    assert await following == jobs


class TestAnOutage:
    jobs = range(1, 101)
    interval = 0.3

    async def watched(
        self, dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, interval: float = interval
    ) -> list[Subscriber]:
        subscribers = [subscribe(config, job, poll_interval=interval) for job in self.jobs]
        await until(lambda: all(subscriber.status for subscriber in subscribers))
        return subscribers

    async def went_away(self, dinky: SmallDinky) -> None:
        dinky.instead[""] = bad_gateway
        asked = len(dinky.asked)
        await until(lambda: len(dinky.asked) > asked + 1)
        # Whatever was under way when it was noticed.
        await asyncio.sleep(self.interval)
        dinky.forget_what_was_asked()

    async def test_only_single_probes_are_sent(
        self, dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
    ) -> None:
        await self.watched(dinky, config, subscribe)
        await self.went_away(dinky)
        await until(lambda: len(dinky.asked) >= 5)

        assert dinky.most_at_once == 1
        took = dinky.asked[4].time - dinky.asked[0].time
        assert took >= 4 * self.interval / 2
        assert not any(dinky.asked[n + 1].time - dinky.asked[n].time < self.interval / 2 for n in range(4))

    async def test_no_herd_when_it_is_back(self, dinky: SmallDinky, subscribe: Subscribe) -> None:
        interval = 1.0
        subscribers = await self.watched(dinky, dinky.anonymous, subscribe, interval)
        await self.went_away(dinky)
        # By now the looks of all are overdue.
        await asyncio.sleep(interval)
        dinky.forget_what_was_asked()
        dinky.instead.clear()
        await until(lambda: len(dinky.looks()) == len(self.jobs))

        shares = Counter((asked.time - dinky.asked[0].time) // (interval / 5) for asked in dinky.asked)
        assert max(shares.values()) <= 0.5 * len(self.jobs)
        assert not any(subscriber.subscription.follower.unreadable for subscriber in subscribers)

    async def test_one_list_when_it_is_back(self, dinky: SmallDinky, subscribe: Subscribe) -> None:
        await self.watched(dinky, dinky.signed_in, subscribe)
        await self.went_away(dinky)
        dinky.instead.clear()
        await until(lambda: len(dinky.looks()) == len(self.jobs))

        assert dinky.count(LIST) <= 2
        assert dinky.count(SINGLE) == 0

    @pytest.mark.parametrize("joins", ["before", "meanwhile"])
    async def test_a_long_interval_does_not_hold_back_a_short_one(
        self, dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, joins: str
    ) -> None:
        def impatient() -> Subscriber:
            return subscribe(config, 31, poll_interval=0.1)

        def is_held_back() -> bool:
            watcher = watchers().get("dinky")
            poller = watcher and watcher._poller
            return poller is not None and poller._breaker.is_open and not poller._breaker._under_way

        dinky.instead[""] = bad_gateway
        for job in range(1, 31):
            subscribe(config, job, poll_interval=600)
        subscriber = impatient() if joins == "before" else None
        await until(lambda: dinky.asked if subscriber else is_held_back())
        subscriber = subscriber or impatient()
        asked = len(dinky.asked)
        await until(lambda: len(dinky.asked) >= asked + 5)
        dinky.instead.clear()

        await until(lambda: subscriber.status)

    async def test_nothing_is_refreshed_meanwhile(
        self, dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
    ) -> None:
        short("polling", REFRESH_GAP=0.1)
        dinky.status.update(dict.fromkeys(range(1, 11), "UNKNOWN"))
        subscribers = [subscribe(dinky.signed_in, job) for job in range(1, 11)]
        dinky.instead[REFRESH] = bad_gateway
        await until(lambda: all(subscriber.status for subscriber in subscribers))
        dinky.instead[""] = bad_gateway
        lists = dinky.count(LIST)
        await until(lambda: dinky.count(LIST) >= lists + 3)
        refreshes = dinky.count(REFRESH)
        await until(lambda: dinky.count(LIST) >= lists + 20)

        assert dinky.count(REFRESH) == refreshes < 10


async def test_bad_luck_of_one_does_not_stop_the_others(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.takes = 0.02
    number = itertools.count(1)
    real = dinky._single

    def now_and_then(request: web.BaseRequest) -> web.StreamResponse:
        return bad_gateway(request) if next(number) % 50 == 0 else real(int(request.query["id"]))

    dinky.instead[SINGLE] = now_and_then
    subscribers = [subscribe(dinky.anonymous, job, poll_interval=0.5) for job in range(1, 201)]
    await until(lambda: all(subscriber.status for subscriber in subscribers), within=3)

    assert dinky.most_at_once == 16
    assert not any(subscriber.subscription.follower.unreadable for subscriber in subscribers)


class TestUnreadable:
    async def test_an_unknown_job_at_once(
        self, dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
    ) -> None:
        dinky.unknown.add(1)
        unknown, known = subscribe(config, 1, poll_interval=0.1), subscribe(config, 2, poll_interval=0.1)
        unreadable = (await unknown.ended()).follower.unreadable

        assert unreadable is not None
        assert "job instance 1: " in unreadable
        assert "Not Exist" in unreadable
        await until(lambda: known.status)
        assert known.subscription.follower.unreadable is None

    async def test_after_an_outage_too_long(
        self, dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
    ) -> None:
        impatient = [subscribe(config, job, max_outage=0.6) for job in range(1, 11)]
        patient = subscribe(config, 11, max_outage=60)
        await until(lambda: all(subscriber.status for subscriber in impatient))
        dinky.instead[""] = bad_gateway
        began = asyncio.get_running_loop().time()
        for subscriber in impatient:
            unreadable = (await subscriber.ended()).follower.unreadable
            assert unreadable is not None
            assert re.match(r"no answer for [1-9] s: ", unreadable)
            assert "HTTP 502" in unreadable
        assert asyncio.get_running_loop().time() - began >= 0.5

        dinky.instead.clear()
        dinky.status[11] = "FINISHED"
        assert (await patient.ended()).follower.unreadable is None
