# SPDX-License-Identifier: Apache-2.0
"""A poll loop that dies: everybody learns it, and polling begins anew."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.watcher.polling import Poller
from tests.unit.watcher.small_dinky import SmallDinky
from tests.unit.watcher.subscribers import Subscribe, until, watchers


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[float]]:
    """Makes so many poll loops die at once; returns when each began."""

    def make(deaths: int) -> list[float]:
        began: list[float] = []
        run = Poller.run

        async def dying(poller: Poller) -> None:
            began.append(asyncio.get_running_loop().time())
            if len(began) <= deaths:
                raise RuntimeError("a bug")
            await run(poller)

        monkeypatch.setattr(Poller, "run", dying)
        return began

    return make


async def test_polling_begins_anew(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, dies: Callable[[int], list[float]]
) -> None:
    began = dies(2)
    dinky.status.update(dict.fromkeys(range(1, 21), "FINISHED"))
    subscribers = [subscribe(config, job) for job in range(1, 21)]
    ended = await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))

    assert not any(subscription.follower.unreadable for subscription in ended)
    assert all(subscriber.status == "FINISHED" for subscriber in subscribers)
    assert all("Polling broke off and begins anew: RuntimeError('a bug')" in s.lines for s in subscribers)
    assert len(began) >= 3


async def test_it_takes_a_breath_before_it_begins_anew(
    dinky: SmallDinky, subscribe: Subscribe, dies: Callable[[int], list[float]]
) -> None:
    began = dies(3)
    subscriber = subscribe(dinky.anonymous, 1)
    await until(lambda: subscriber.status)

    pauses = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert len(pauses) == 3
    assert all(pause >= least for pause, least in zip(pauses, (0.25, 0.5, 0.5), strict=True))


async def test_a_loop_that_is_cancelled_from_outside(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    subscribers = [subscribe(config, job) for job in range(1, 11)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))
    watchers()["dinky"]._task.cancel()
    await until(lambda: all(len(subscriber.lines) == 2 for subscriber in subscribers))
    dinky.status.update(dict.fromkeys(range(1, 11), "FINISHED"))
    ended = await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))

    assert not any(subscription.follower.unreadable for subscription in ended)


async def test_one_that_never_lives_is_given_up_in_the_end(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, dies: Callable[[int], list[float]]
) -> None:
    dies(1000)
    unreadable = (await subscribe(config, 1, max_outage=0.2).ended()).follower.unreadable

    assert unreadable is not None
    assert "polling broke off: RuntimeError('a bug')" in unreadable
