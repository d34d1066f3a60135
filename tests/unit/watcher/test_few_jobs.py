# SPDX-License-Identifier: Apache-2.0
"""A list needs a sign-in, which pushes out those of others: few jobs are asked for without, where it costs one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_dinky.watcher.polling import LIST_ABOVE
from tests.unit.watcher.small_dinky import LIST, SIGN_IN, SINGLE, SmallDinky
from tests.unit.watcher.subscribers import Subscribe, until

pytestmark = pytest.mark.few_jobs


async def test_few_jobs_cost_no_sign_in(dinky: SmallDinky, subscribe: Subscribe) -> None:
    followers = [subscribe(dinky.signed_in, job, poll_interval=0.2) for job in range(1, 21)]
    await until(lambda: min((dinky.looks()[job] for job in range(1, 21)), default=0) >= 2)
    assert all(follower.status for follower in followers)
    assert dinky.count(SIGN_IN) == dinky.count(LIST) == 0


async def test_many_jobs_are_worth_a_sign_in(dinky: SmallDinky, subscribe: Subscribe) -> None:
    for job in range(1, LIST_ABOVE + 2):
        subscribe(dinky.signed_in, job, poll_interval=0.2)
    await until(lambda: dinky.count(LIST) >= 3)
    assert dinky.count(SIGN_IN) == 1


async def test_a_token_costs_nothing(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.token = "issued"
    config = replace(dinky.anonymous, token="issued")
    for job in range(1, 4):
        subscribe(config, job, poll_interval=0.2)
    await until(lambda: dinky.count(LIST) >= 2)
    assert dinky.count(SIGN_IN) == dinky.count(SINGLE) == 0


async def test_jobs_that_become_many_are_listed(dinky: SmallDinky, subscribe: Subscribe) -> None:
    for job in range(1, 4):
        subscribe(dinky.signed_in, job, poll_interval=0.2)
    await until(lambda: dinky.count(SINGLE) >= 3)
    assert dinky.count(LIST) == 0
    for job in range(4, LIST_ABOVE + 2):
        subscribe(dinky.signed_in, job, poll_interval=0.2)
    await until(lambda: dinky.count(LIST) >= 2)
    await until(
        lambda: {1, 2, 3} <= {job for asked in dinky.asked if asked.path == LIST for job in asked.ids}
    )
