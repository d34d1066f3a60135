# SPDX-License-Identifier: Apache-2.0
"""Signed in, one list asks for all; what a list does not tell, or where there is none, single calls do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiohttp import web

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.session import Session
from airflow_provider_dinky.sandbox import Sandbox
from tests.unit.watcher.small_dinky import LIST, SIGN_IN, SINGLE, Answer, SmallDinky, envelope
from tests.unit.watcher.subscribers import Subscribe, until


async def test_a_job_that_a_list_leaves_out_is_asked_for_alone(
    dinky: SmallDinky, subscribe: Subscribe
) -> None:
    dinky.unlisted.add(3)
    dinky.unknown.add(4)
    subscribers = {job: subscribe(dinky.signed_in, job) for job in range(1, 11)}
    await until(lambda: all(s.status for job, s in subscribers.items() if job != 4))
    unreadable = (await subscribers[4].ended()).follower.unreadable

    assert unreadable is not None
    assert "job instance 4" in unreadable
    assert {job for asked in dinky.asked if asked.path == SINGLE for job in asked.ids} == {3, 4}


def not_found(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404, text="no such page")


def exception(request: web.BaseRequest) -> web.StreamResponse:
    return envelope("java.lang.RuntimeException: broken", code=5)


def no_json(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="<html>")


def wrong_password(request: web.BaseRequest) -> web.StreamResponse:
    return envelope(None, code=7, msg="UserName Or Password Not Correct")


@pytest.mark.parametrize(
    ("path", "refusal"),
    [(LIST, not_found), (LIST, exception), (LIST, no_json), (SIGN_IN, wrong_password), (SIGN_IN, not_found)],
)
async def test_where_there_are_no_lists_jobs_are_asked_for_alone_for_a_while(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None], path: str, refusal: Answer
) -> None:
    short("polling", LIST_PAUSE=0.4)
    dinky.instead[path] = refusal
    subscribers = [subscribe(dinky.signed_in, job) for job in range(1, 21)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))
    tried = dinky.count(path)
    await until(lambda: dinky.looks()[1] >= 5)
    assert tried == 1
    assert dinky.count(SINGLE) >= 20

    dinky.instead.clear()
    dinky.forget_what_was_asked()
    await until(lambda: dinky.count(LIST) >= 3)
    singles = dinky.count(SINGLE)
    await until(lambda: dinky.count(LIST) >= 6)
    assert dinky.count(SINGLE) == singles
    assert not any(subscriber.subscription.follower.unreadable for subscriber in subscribers)


async def test_where_lists_stay_refused_they_are_tried_now_and_then(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("polling", LIST_PAUSE=0.3)
    dinky.instead[LIST] = exception
    for job in range(1, 21):
        subscribe(dinky.signed_in, job)
    await until(lambda: dinky.count(LIST) >= 3)

    tried = [asked.time for asked in dinky.asked if asked.path == LIST]
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(tried))


async def test_signed_out_by_somebody_else_it_signs_in_once_for_all(
    sandbox: Sandbox, subscribe: Subscribe
) -> None:
    config = DinkyConfig(sandbox.url, username="admin", password="admin")

    def sign_ins() -> int:
        return sum(request.path == SIGN_IN for request in sandbox.requests)

    async with AsyncDinkyClient(config, session=Session()) as rival:
        task = 1
        jobs = await asyncio.gather(*(rival.send(calls.submit_task(task)) for _ in range(50)))
        subscribers = [subscribe(config, job.job_instance_id) for job in jobs]
        await until(lambda: all(subscriber.status for subscriber in subscribers))
        assert sign_ins() == 1
        await rival.send(calls.get_token_info())
    for job in sandbox.engine.jobs:
        sandbox.finish_job(job.jid)
    ended = await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))

    assert sign_ins() == 3
    assert not any(subscription.follower.unreadable for subscription in ended)
    assert not any(request.path == SINGLE for request in sandbox.requests)


async def test_against_a_rival_that_never_rests_jobs_are_asked_for_alone(
    dinky: SmallDinky, subscribe: Subscribe
) -> None:
    def pushed_out(request: web.BaseRequest) -> web.StreamResponse:
        return envelope(None, code=7, status=401, msg="token has been pushed offline")

    dinky.instead[LIST] = pushed_out
    subscribers = [subscribe(dinky.signed_in, job) for job in range(1, 21)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))

    assert dinky.count(SIGN_IN) <= 5
    await until(lambda: dinky.looks()[1] >= 10)
    assert dinky.count(SIGN_IN) <= 5


async def test_a_token_that_is_not_accepted_is_no_end_either(dinky: SmallDinky, subscribe: Subscribe) -> None:
    config = replace(dinky.anonymous, token="not-issued")
    subscriber = subscribe(config, 1)
    await until(lambda: subscriber.status)

    assert dinky.count(SIGN_IN) == 0
