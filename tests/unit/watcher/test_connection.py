# SPDX-License-Identifier: Apache-2.0
"""The Airflow connection: read in a thread, now and then again, and what becomes of it when that fails."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky._compat import AirflowNotFoundException
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError
from tests.unit.watcher.small_dinky import SmallDinky, bad_gateway
from tests.unit.watcher.subscribers import Subscribe, until


class Keeper:
    """Keeps a connection as Airflow does; ``now`` is what it holds, an exception what reading it raises."""

    def __init__(self, now: DinkyConfig | Exception) -> None:
        self.now = now
        self.threads: list[int] = []

    def __call__(self) -> DinkyConfig:
        self.threads.append(threading.get_ident())
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


async def test_is_read_once_for_all_and_never_on_the_event_loop(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    keeper = Keeper(config)
    subscribers = [subscribe(keeper, job) for job in range(1, 21)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))

    assert len(keeper.threads) == 1
    assert threading.get_ident() not in keeper.threads


@pytest.mark.parametrize("slow", ["a change", "trouble"])
async def test_a_changed_address_takes_everybody_along(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None], slow: str
) -> None:
    if slow == "a change":
        short("connection", READ_GAP=0.05, READ_EVERY=0.1)
    else:
        short("connection", READ_GAP=0.05)
    keeper = Keeper(config)
    subscribers = [subscribe(keeper, job) for job in range(1, 31)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))
    async with SmallDinky() as other:
        other.status.update(dict.fromkeys(range(1, 31), "FINISHED"))
        keeper.now = other.signed_in if config.has_credentials else other.anonymous
        if slow == "trouble":
            dinky.instead[""] = bad_gateway
        await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))

        assert dinky.connections == 0
        assert not any(subscriber.subscription.follower.unreadable for subscriber in subscribers)


async def test_is_not_read_again_while_all_is_well(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("connection", READ_GAP=0.01)
    keeper = Keeper(config)
    subscribe(keeper, 1, poll_interval=0.02)
    await until(lambda: dinky.looks()[1] >= 20)

    assert len(keeper.threads) == 1


async def test_one_that_cannot_be_read_again_stays(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("connection", READ_GAP=0.02, READ_EVERY=0.02)
    keeper = Keeper(config)
    subscriber = subscribe(keeper, 1)
    await until(lambda: subscriber.status)
    for trouble in (OSError("no database"), AirflowNotFoundException("gone"), DinkyConfigError("bad")):
        keeper.now, reads = trouble, len(keeper.threads)
        await until(lambda reads=reads: len(keeper.threads) >= reads + 2)  # type: ignore[misc]
    dinky.status[1] = "FINISHED"

    assert (await subscriber.ended()).follower.unreadable is None


async def test_the_same_one_read_again_changes_nothing(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("connection", READ_GAP=0.02, READ_EVERY=0.02)
    keeper = Keeper(config)
    subscribe(keeper, 1)
    await until(lambda: len(keeper.threads) >= 5)

    assert dinky.count("/api/login") == (1 if config.has_credentials else 0)
    assert dinky.connections == 1


@pytest.mark.parametrize(
    "trouble", [AirflowNotFoundException("no such connection"), DinkyConfigError("field 'host' is empty")]
)
async def test_one_that_is_missing_or_bad_is_the_end_for_all(
    dinky: SmallDinky, subscribe: Subscribe, trouble: Exception
) -> None:
    keeper = Keeper(trouble)
    subscribers = [subscribe(keeper, job) for job in range(1, 21)]
    ended = await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))

    assert [subscription.follower.unreadable for subscription in ended] == [str(trouble)] * 20
    assert len(keeper.threads) == 1
    assert not dinky.asked


async def test_a_passing_trouble_is_waited_out(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("connection", SLOWEST_RETRY=0.05)
    keeper = Keeper(OSError("no database"))
    subscribers = [subscribe(keeper, job) for job in range(1, 21)]
    await until(lambda: len(keeper.threads) >= 3)
    keeper.now = config
    await until(lambda: all(subscriber.status for subscriber in subscribers))

    assert threading.get_ident() not in keeper.threads


async def test_a_trouble_that_does_not_pass_is_waited_out_no_longer_than_asked(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("connection", SLOWEST_RETRY=0.05)
    settings: dict[str, Any] = {"max_outage": 0.3}
    subscribers = [subscribe(Keeper(OSError("no database")), job, **settings) for job in (1, 2)]
    for subscriber in subscribers:
        unreadable = (await subscriber.ended()).follower.unreadable
        assert unreadable is not None
        assert re.match(r"no answer for \d s: connection 'dinky' cannot be read: no database", unreadable)


async def test_who_leaves_while_it_is_read_leaves_nothing_behind(
    dinky: SmallDinky, subscribe: Subscribe
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def read_config() -> DinkyConfig:
        reading.set()
        go_on.wait(10)
        return dinky.anonymous

    subscriber = subscribe(read_config, 1)
    await until(reading.is_set)
    await subscriber.leaves()
    go_on.set()
    later = subscribe(read_config, 2)
    await until(lambda: later.status)

    assert set(dinky.looks()) == {2}
