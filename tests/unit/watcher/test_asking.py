# SPDX-License-Identifier: Apache-2.0
"""Questions beside the polling: over the same session, with the same sign-in, and without harm to either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyConnectionError,
    DinkyNotFoundError,
    DinkySignInError,
)
from airflow_provider_dinky.client.models import JobInstance
from airflow_provider_dinky.watcher import ask, staying
from airflow_provider_dinky.watcher.lending import QUESTIONS_ABREAST, TRIES, Lender
from airflow_provider_dinky.watcher.polling import Poller
from tests.unit.watcher.small_dinky import (
    NEWEST,
    REFRESH,
    SIGN_IN,
    SINGLE,
    SmallDinky,
    bad_gateway,
    envelope,
)
from tests.unit.watcher.subscribers import Subscribe, until, watchers

Steps = Generator[ApiCall[Any], Any, Any]


def look(job: int = 7) -> Callable[[DinkyConfig], Steps]:
    """A question that anybody may ask."""

    def steps(config: DinkyConfig) -> Steps:
        found: JobInstance = yield calls.get_job_instance(job)
        return found.status.value

    return steps


def refresh(config: DinkyConfig) -> Steps:
    """One for which Dinky wants a sign-in."""
    return (yield calls.refresh_job_info_detail(7)).instance.id


async def no_watcher_is_left(dinky: SmallDinky) -> None:
    assert not watchers()
    await until(lambda: dinky.connections == 0)


async def test_alone_it_starts_a_watcher_that_ends_after_it(dinky: SmallDinky, config: DinkyConfig) -> None:
    assert await ask("dinky", lambda: config, look()) == "RUNNING"

    assert [asked.path for asked in dinky.asked] == [SINGLE]
    await no_watcher_is_left(dinky)


async def test_shares_the_sign_in_with_polling(dinky: SmallDinky, subscribe: Subscribe) -> None:
    subscriber = subscribe(dinky.signed_in, 1)
    await until(lambda: subscriber.status)
    assert await ask("dinky", lambda: dinky.signed_in, refresh) == 7
    assert await ask("dinky", lambda: dinky.signed_in, refresh) == 7

    assert dinky.count(SIGN_IN) == 1
    assert not subscriber.task.done()


async def test_questions_one_after_the_other_share_a_sign_in(dinky: SmallDinky) -> None:
    with staying("dinky", lambda: dinky.signed_in):
        for _ in range(3):
            assert await ask("dinky", lambda: dinky.signed_in, refresh) == 7
        assert watchers()

    assert dinky.count(SIGN_IN) == 1
    await no_watcher_is_left(dinky)


async def test_the_steps_see_the_settings_and_the_errors_of_their_calls(
    dinky: SmallDinky, config: DinkyConfig
) -> None:
    dinky.unknown.add(7)

    def steps(given: DinkyConfig) -> Steps:
        assert given == config
        try:
            yield calls.get_job_instance(7)
        except DinkyNotFoundError:
            return (yield calls.get_job_instance(8)).id

    assert await ask("dinky", lambda: config, steps) == 8
    with pytest.raises(DinkyNotFoundError, match="job instance 7"):
        await ask("dinky", lambda: config, look())
    await no_watcher_is_left(dinky)


async def test_trouble_is_told_at_once(dinky: SmallDinky, config: DinkyConfig) -> None:
    dinky.instead[SINGLE] = bad_gateway
    with pytest.raises(DinkyConnectionError, match="HTTP 502"):
        await ask("dinky", lambda: config, look())

    assert dinky.count(SINGLE) == 1


@pytest.mark.parametrize("refusals", [TRIES - 1, TRIES])
async def test_signed_out_it_signs_in_again_but_not_for_ever(dinky: SmallDinky, refusals: int) -> None:
    left = refusals

    def signed_out(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left == 0:
            del dinky.instead[REFRESH]
        return envelope(None, code=7, status=401)

    dinky.instead[REFRESH] = signed_out
    question = ask("dinky", lambda: dinky.signed_in, refresh)
    if refusals < TRIES:
        assert await question == 7
    else:
        with pytest.raises(DinkySignInError):
            await question
    assert dinky.count(SIGN_IN) == TRIES


async def test_questions_leave_polling_room(dinky: SmallDinky, subscribe: Subscribe) -> None:
    subscriber = subscribe(dinky.anonymous, None, dinky_task_id=1, poll_interval=0.02)
    await until(lambda: subscriber.status)
    dinky.takes = 0.05
    dinky.forget_what_was_asked()
    answers = await asyncio.gather(*(ask("dinky", lambda: dinky.anonymous, look(n)) for n in range(2, 22)))

    assert answers == ["RUNNING"] * 20
    assert dinky.most_at_once <= QUESTIONS_ABREAST + 1
    assert dinky.count(SINGLE) + dinky.count(NEWEST) > 20


async def test_nothing_is_asked_while_dinky_is_gone(dinky: SmallDinky, subscribe: Subscribe) -> None:
    dinky.instead[""] = bad_gateway
    subscribe(dinky.anonymous, 1)
    await until(lambda: dinky.looks()[1] >= 4)
    with pytest.raises(DinkyConnectionError, match="does not answer at present") as error:
        await ask("dinky", lambda: dinky.anonymous, look(2))

    assert not error.value.outcome_unknown
    assert not dinky.looks()[2]


async def test_who_stops_waiting_stops_the_question(dinky: SmallDinky, config: DinkyConfig) -> None:
    dinky.takes = 30.0
    question = asyncio.create_task(ask("dinky", lambda: config, look()))
    await until(lambda: dinky.at_once)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question

    assert not watchers()
    await until(lambda: not [task for task in asyncio.all_tasks() if "Watcher" in repr(task.get_coro())])


@pytest.mark.parametrize("what", ["the connection changes", "polling breaks off"])
async def test_nothing_is_sent_over_a_client_that_is_closed(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None], what: str
) -> None:
    short("connection", READ_GAP=0.05, READ_EVERY=0.1)
    now = [dinky.anonymous]
    subscriber = subscribe(lambda: now[0], 1)
    await until(lambda: subscriber.status)
    dinky.takes = 30.0
    seen: list[type[BaseException]] = []

    def stubborn(config: DinkyConfig) -> Steps:
        try:
            yield calls.get_job_instance(7)
        except BaseException as error:
            seen.append(type(error))
            raise

    question = asyncio.create_task(ask("dinky", lambda: now[0], stubborn))
    await until(lambda: dinky.looks()[7])
    async with SmallDinky() as other:
        if what == "the connection changes":
            now[0] = other.anonymous
        else:
            watchers()["dinky"]._task.cancel()
        with pytest.raises(DinkyConnectionError, match="broken off"):
            await question
        assert not seen or seen == [GeneratorExit]
        await subscriber.leaves()


async def test_a_bad_connection_is_told(dinky: SmallDinky) -> None:
    def bad() -> DinkyConfig:
        raise DinkyConfigError("field 'host' is empty")

    with pytest.raises(DinkyConfigError, match="field 'host' is empty"):
        await ask("dinky", bad, look())
    assert not watchers()


async def test_one_that_cannot_be_read_now_is_told(dinky: SmallDinky) -> None:
    def unreadable() -> DinkyConfig:
        raise OSError("no database")

    with pytest.raises(DinkyConnectionError, match="cannot be read: no database"):
        await ask("dinky", unreadable, look())
    assert not watchers()


async def test_a_poll_loop_that_dies_takes_no_question_along(
    dinky: SmallDinky, config: DinkyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(poller: Poller) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Poller, "run", dies)
    dinky.takes = 0.1
    with pytest.raises(DinkyConnectionError, match="broken off|polling broke off"):
        await asyncio.wait_for(ask("dinky", lambda: config, look()), 5)


async def test_who_comes_after_the_end_learns_of_it() -> None:
    lender = Lender("dinky")
    lender.close(DinkyConnectionError("it is over", sent=False))
    with pytest.raises(DinkyConnectionError, match="it is over"):
        await asyncio.wait_for(lender.ask(look()), 5)
