# SPDX-License-Identifier: Apache-2.0
"""Jobs that Dinky has lost sight of: signed in, it is made to look anew, but rarely."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from aiohttp import web

from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs import follower as rules
from tests.unit.watcher.small_dinky import REFRESH, SmallDinky, bad_gateway, envelope
from tests.unit.watcher.subscribers import Subscribe, until


@pytest.mark.parametrize("lost", ["UNKNOWN", "RECONNECTING"])
async def test_a_job_out_of_sight_is_looked_at_anew(
    dinky: SmallDinky, subscribe: Subscribe, lost: str
) -> None:
    dinky.status[1] = lost

    def found(request: web.BaseRequest) -> web.StreamResponse:
        dinky.status[1] = "FINISHED"
        return envelope({"instance": {"id": 1, "jid": "ab", "status": "FINISHED"}})

    dinky.instead[REFRESH] = found
    subscriber = subscribe(dinky.signed_in, 1, poll_interval=30)
    # Long before the next look: what the refresh says is enough.
    ended = await subscriber.ended(within=5)

    assert (subscriber.status, ended.job_id) == ("FINISHED", "ab")


async def test_one_a_gap_however_many_are_lost(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("polling", REFRESH_GAP=0.2)
    dinky.status.update(dict.fromkeys(range(1, 31), "UNKNOWN"))
    for job in range(1, 31):
        subscribe(dinky.signed_in, job)
    await until(lambda: dinky.count(REFRESH) >= 5)

    times = [asked.time for asked in dinky.asked if asked.path == REFRESH]
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(times))
    refreshed = [asked.ids for asked in dinky.asked if asked.path == REFRESH]
    assert len(set(refreshed)) == len(refreshed)


async def test_never_without_credentials(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.status[1] = "UNKNOWN"
    subscribe(dinky.anonymous, 1, poll_interval=0.02)
    await until(lambda: dinky.looks()[1] >= 10)

    assert dinky.count(REFRESH) == 0


@pytest.mark.parametrize("wait_for", [WaitFor.FINISHED, WaitFor.RUNNING])
async def test_a_quiet_job_only_where_its_end_is_awaited(
    dinky: SmallDinky, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    monkeypatch.setattr(rules, "REFRESH_QUIET_EVERY", 0.3)
    dinky.status[1] = "RUNNING" if wait_for is WaitFor.FINISHED else "CREATED"
    subscribe(dinky.signed_in, 1, wait_for=wait_for)
    await until(lambda: len(dinky.looks_at(1)) >= 12)

    looks = [asked for asked in dinky.asked if asked.ids]
    first = next((asked.time for asked in looks if asked.path == REFRESH), None)
    if wait_for is WaitFor.RUNNING:
        assert first is None
    else:
        assert first is not None
        assert first - looks[0].time >= 0.3


async def test_a_refresh_that_fails_harms_nobody(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("polling", REFRESH_GAP=0.02)
    dinky.instead[REFRESH] = bad_gateway
    dinky.status.update(dict.fromkeys(range(1, 6), "UNKNOWN"))
    subscribers = [subscribe(dinky.signed_in, job) for job in range(1, 6)]
    await until(lambda: dinky.count(REFRESH) >= 5)
    dinky.status.update(dict.fromkeys(range(1, 6), "FINISHED"))
    for subscriber in subscribers:
        assert (await subscriber.ended()).follower.unreadable is None


async def test_who_has_left_is_not_refreshed(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("polling", REFRESH_GAP=0.2)
    dinky.status.update(dict.fromkeys(range(1, 11), "UNKNOWN"))
    subscribers = [subscribe(dinky.signed_in, job) for job in range(1, 11)]
    await until(lambda: dinky.count(REFRESH) == 1)
    first = next(asked.ids[0] for asked in dinky.asked if asked.path == REFRESH)
    for subscriber in subscribers:
        if subscriber.job not in (first, 10):
            await subscriber.leaves()
    await until(lambda: dinky.count(REFRESH) == 2 or first == 10)

    assert {asked.ids[0] for asked in dinky.asked if asked.path == REFRESH} <= {first, 10}


async def test_still_lost_after_too_long_is_the_end(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.status[1] = "UNKNOWN"
    subscriber = subscribe(dinky.signed_in, 1, unknown_timeout=0.3)
    ended = await subscriber.ended()

    assert (ended.follower.unreadable, subscriber.status) == (None, "UNKNOWN")
    assert dinky.looks()[1] >= 4


async def test_none_of_many_lost_jobs_has_failed_before_its_refresh(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("polling", REFRESH_GAP=0.05)

    def found(request: web.BaseRequest) -> web.StreamResponse:
        job = int(request.query["id"])
        dinky.status[job] = "RUNNING"
        return envelope({"instance": {"id": job, "jid": "ab", "status": "RUNNING"}})

    dinky.instead[REFRESH] = found
    dinky.status.update(dict.fromkeys(range(1, 21), "UNKNOWN"))
    subscribers = [subscribe(dinky.signed_in, job, unknown_timeout=0.2) for job in range(1, 21)]
    await until(lambda: all(subscriber.status == "RUNNING" for subscriber in subscribers))

    assert not any(subscriber.subscription.has_ended for subscriber in subscribers)


async def test_a_job_that_is_lost_after_its_refresh_too_has_failed(
    dinky: SmallDinky, subscribe: Subscribe
) -> None:
    dinky.status[1] = "UNKNOWN"
    dinky.instead[REFRESH] = lambda request: envelope(
        {"instance": {"id": 1, "jid": "ab", "status": "UNKNOWN"}}
    )
    subscriber = subscribe(dinky.signed_in, 1, unknown_timeout=0.2)
    ended = await subscriber.ended(within=5)
    assert (subscriber.status, ended.follower.unreadable) == ("UNKNOWN", None)
