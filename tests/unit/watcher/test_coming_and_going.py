# SPDX-License-Identifier: Apache-2.0
"""Subscribers with intervals of their own come, go, and don't disturb each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.job import WaitFor
from tests.unit.watcher.small_dinky import LIST, NEWEST, SmallDinky
from tests.unit.watcher.subscribers import Subscribe, until, watchers


async def test_each_interval_is_respected(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    often, seldom = 0.1, 0.6
    subscribe(config, 1, poll_interval=often)
    subscribe(config, 2, poll_interval=seldom)
    await until(lambda: dinky.looks()[2] >= 5)

    rare = [later - earlier for earlier, later in pairwise(dinky.looks_at(2)[1:])]
    assert min(rare) >= 0.4 * seldom
    took = dinky.looks_at(2)[-1] - dinky.looks_at(2)[0]
    assert 0.25 * took / often <= dinky.looks()[1] <= 2.1 * took / often + 2


async def test_a_newcomer_gets_its_first_answer_at_once(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    for job in range(1, 21):
        subscribe(config, job, poll_interval=60)
    await until(lambda: len(dinky.looks()) == 20)
    dinky.status[21] = "FINISHED"

    await subscribe(config, 21, poll_interval=60).ended(within=3)


async def test_newcomers_gather_for_one_list(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    # Long enough for a machine that is busy with other things.
    short("schedule", GATHER=2.0)
    for job in range(1, 51):
        subscribe(dinky.signed_in, job, poll_interval=60)
        await asyncio.sleep(0)
    await until(lambda: len(dinky.looks()) == 50)

    assert sum(bool(asked.ids) for asked in dinky.asked) == 1


async def test_newcomers_one_after_the_other_share_lists(dinky: SmallDinky, subscribe: Subscribe) -> None:
    interval = 1.0
    for job in range(1, 31):
        subscribe(dinky.signed_in, job, poll_interval=interval)
        await asyncio.sleep(0.03)
    await until(lambda: len(dinky.looks()) == 30)

    took = dinky.asked[-1].time - dinky.asked[0].time
    assert dinky.count(LIST) <= 2 * took / interval + 2


async def test_a_job_found_final_is_not_asked_for_again(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    dinky.status[1] = "FINISHED"
    done, waiting = subscribe(config, 1), subscribe(config, 2)
    await done.ended()
    await until(lambda: dinky.looks()[2] >= 8)

    assert dinky.looks()[1] == 1
    assert waiting.status == "RUNNING"


async def test_who_leaves_is_not_asked_for_any_more(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    subscribers = [subscribe(config, job) for job in range(1, 11)]
    await until(lambda: len(dinky.looks()) == 10)
    for subscriber in subscribers[:5]:
        await subscriber.leaves()
    # What was under way may still arrive.
    await until(lambda: min(dinky.looks()[job] for job in range(6, 11)) >= 4)
    dinky.forget_what_was_asked()
    await until(lambda: min(dinky.looks()[job] for job in range(6, 11)) >= 3)

    assert set(dinky.looks()) == set(range(6, 11))
    for job in range(6, 11):
        dinky.status[job] = "FINISHED"
    await asyncio.gather(*(subscriber.ended() for subscriber in subscribers[5:]))


async def test_who_leaves_in_the_middle_of_a_request_disturbs_nobody(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    dinky.takes = 0.05
    leaving, staying = subscribe(config, 1), subscribe(config, 2)
    await until(lambda: dinky.looks()[1] and dinky.at_once)
    await leaving.leaves()
    dinky.status[2] = "FINISHED"

    assert (await staying.ended()).follower.unreadable is None
    assert leaving.lines == []


async def test_two_may_wait_for_the_same_job(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    up, done = subscribe(config, 1, wait_for=WaitFor.RUNNING), subscribe(config, 1)
    await up.ended()
    assert not done.task.done()
    dinky.status[1] = "FINISHED"
    await done.ended()


async def test_the_last_one_closes_the_session(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    subscribers = [subscribe(config, job) for job in (1, 2)]
    await until(lambda: len(dinky.looks()) == 2)
    await subscribers[0].leaves()
    assert watchers()
    await until(lambda: dinky.looks()[2] >= 3)
    assert dinky.connections

    await subscribers[1].leaves()
    assert not watchers()
    await until(lambda: dinky.connections == 0)
    dinky.forget_what_was_asked()
    again = subscribe(config, 3)
    await until(lambda: again.status == "RUNNING")
    assert set(dinky.looks()) == {3}


async def test_a_run_that_is_not_there_yet_is_listed_once_it_is_known(
    dinky: SmallDinky, subscribe: Subscribe
) -> None:
    task = 5
    subscriber = subscribe(dinky.signed_in, None, dinky_task_id=task, newer_than=task)
    await until(lambda: dinky.count(NEWEST) >= 3)
    assert subscriber.status is None

    subscriber.subscription.newer_than = task - 1
    await until(lambda: dinky.looks()[task] >= 2)
    found = dinky.count(NEWEST)
    await until(lambda: dinky.looks()[task] >= 5)
    assert dinky.count(NEWEST) == found
    assert subscriber.subscription.job_instance_id == task
