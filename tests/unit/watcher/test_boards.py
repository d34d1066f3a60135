# SPDX-License-Identifier: Apache-2.0
"""Boards: what is seen of many tasks, in as few requests as it takes, and whatever Dinky does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError
from airflow_provider_dinky.client.models import JobInstance
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.gone import UnknownJob
from airflow_provider_dinky.watcher import Board, WatchedTasks, board, watched_tasks
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.polling import HANDFUL, Poller
from airflow_provider_dinky.watcher.task_subscription import Sightings, TaskSubscription
from tests.unit.watcher.small_dinky import (
    LIST,
    NEWEST,
    REFRESH,
    SIGN_IN,
    SmallDinky,
    bad_gateway,
    envelope,
)
from tests.unit.watcher.subscribers import Subscribe, until, watchers

MANY = range(1, HANDFUL * 2 + 1)


class Wall:
    """Reads boards in a task of its own, and keeps what stands on them."""

    def __init__(self, config: DinkyConfig | ReadConfig, *tasks: int, poll_interval: float = 0.05) -> None:
        self.watched = WatchedTasks()
        self.boards: list[Board] = []
        self.times: list[float] = []
        """When each was read, on the event loop's clock."""
        for task in tasks:
            self.watched.enter(task, task, poll_interval)
        read_config = config if callable(config) else lambda: config
        self.task = asyncio.create_task(self._read(read_config))

    @property
    def status(self) -> dict[int, str | None]:
        """The state of each task as it was seen last."""
        return {task: run and str(run.status) for one in self.boards for task, run in one.runs.items()}

    async def _read(self, read_config: ReadConfig) -> None:
        async with contextlib.aclosing(board("dinky", read_config, self.watched)) as boards:
            async for one in boards:
                self.boards.append(one)
                self.times.append(asyncio.get_running_loop().time())

    async def comes_down(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


PutUp = Callable[..., Wall]


@pytest.fixture(autouse=True)
async def _no_watcher_is_left() -> AsyncIterator[None]:
    yield
    assert not watchers()


@pytest.fixture
async def put_up() -> AsyncIterator[PutUp]:
    """Makes walls, which come down when the test ends."""
    walls: list[Wall] = []

    def make(config: DinkyConfig | ReadConfig, *tasks: int, **settings: Any) -> Wall:
        walls.append(Wall(config, *tasks, **settings))
        return walls[-1]

    yield make
    for wall in walls:
        assert not wall.task.done(), wall.task
        await wall.comes_down()


@pytest.mark.parametrize("tasks", [range(1, 4), MANY], ids=["few", "many"])
async def test_shows_the_newest_run_of_each_task(
    dinky: SmallDinky, config: DinkyConfig, put_up: PutUp, tasks: range
) -> None:
    dinky.newest = {task: 100 + task for task in tasks}
    wall = put_up(config, *tasks)
    await until(lambda: len(wall.status) == len(tasks))
    dinky.newest[2] = 999
    dinky.status[999] = "FAILED"
    await until(lambda: wall.status[2] == "FAILED")

    run = next(one.runs[2] for one in reversed(wall.boards) if 2 in one.runs)
    assert run is not None
    assert (run.id, run.dinky_task_id, run.job_id) == (999, 2, f"{999:032x}")
    assert set(wall.status) == set(tasks)


async def test_many_cost_one_request_an_interval(dinky: SmallDinky, put_up: PutUp) -> None:
    dinky.newest = {task: 100 + task for task in (*MANY, *range(1_000, 1_400))}
    wall = put_up(dinky.signed_in, *MANY, poll_interval=0.3)
    await until(lambda: len(wall.boards) >= 6)

    lists = [asked.time for asked in dinky.asked if asked.path == LIST]
    assert dinky.count(NEWEST) == 0
    assert all(later - earlier >= 0.14 for earlier, later in pairwise(lists))
    assert len(lists) <= len(wall.boards) + 1
    assert all(set(one.runs) == set(MANY) for one in wall.boards)


@pytest.mark.parametrize("signed_in", [True, False])
async def test_few_or_unsigned_are_asked_for_one_by_one(
    dinky: SmallDinky, put_up: PutUp, signed_in: bool
) -> None:
    tasks = range(1, HANDFUL + 1) if signed_in else MANY
    wall = put_up(dinky.signed_in if signed_in else dinky.anonymous, *tasks, poll_interval=0.3)
    await until(lambda: len(wall.status) == len(tasks))
    dinky.forget_what_was_asked()
    began = asyncio.get_running_loop().time()
    await until(lambda: dinky.count(NEWEST) >= 3 * len(tasks))

    assert dinky.count(LIST) == 0
    assert asyncio.get_running_loop().time() - began >= 2 * 0.3


async def test_all_pages_until_all_are_found(
    dinky: SmallDinky, put_up: PutUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAGE_SIZE", 7)
    dinky.newest = {task: 100 + task for task in range(1, 50)}
    wall = put_up(dinky.signed_in, *MANY, poll_interval=60)
    await until(lambda: len(wall.status) == len(MANY))
    assert dinky.count(LIST) == 7

    dinky.forget_what_was_asked()
    upper = put_up(dinky.signed_in, *range(30, 50), poll_interval=60)
    await until(lambda: len(upper.status) == 20)
    assert dinky.count(LIST) == 3
    assert dinky.count(NEWEST) == 0


async def test_what_a_list_leaves_out_is_asked_for(dinky: SmallDinky, put_up: PutUp) -> None:
    dinky.newest = {task: 100 + task for task in MANY} | {3: None}
    dinky.unlisted = {4}
    wall = put_up(dinky.signed_in, *MANY)
    await until(lambda: len(wall.status) == len(MANY))

    assert wall.status[3] is None
    assert wall.status[4] == "RUNNING"


async def test_a_list_refused_is_no_end(dinky: SmallDinky, put_up: PutUp) -> None:
    dinky.instead[LIST] = lambda request: envelope(None, code=5, msg="no")
    wall = put_up(dinky.signed_in, *MANY)
    await until(lambda: len(wall.status) == len(MANY))

    assert dinky.count(LIST) == 1


async def test_a_task_that_dinky_does_not_know(dinky: SmallDinky, config: DinkyConfig, put_up: PutUp) -> None:
    dinky.unknown = {2}
    wall = put_up(config, 1, 2)
    await until(lambda: any(2 in one.unreadable for one in wall.boards))
    assert "Task Not Exist" in next(one.unreadable[2] for one in wall.boards if one.unreadable)
    dinky.unknown = set()
    await until(lambda: wall.status.get(2) == "RUNNING")


async def test_comings_and_goings(dinky: SmallDinky, config: DinkyConfig, put_up: PutUp) -> None:
    wall = put_up(config)
    me, you = object(), object()
    wall.watched.enter(me, 1, 60)
    await until(lambda: 1 in wall.status)
    wall.watched.enter(you, 1, 0.05)
    await until(lambda: dinky.count(NEWEST) >= 5)
    assert wall.watched.intervals() == {1: 0.05}
    wall.watched.leave(you)
    wall.watched.leave(you)
    wall.watched.enter(you, 2, 60)
    await until(lambda: 2 in wall.status)
    dinky.forget_what_was_asked()
    wall.watched.leave(me)
    wall.watched.leave(you)
    await until(lambda: not watchers())
    await until(lambda: not dinky.connections)
    wall.watched.enter(me, 3, 0.05)
    await until(lambda: 3 in wall.status)
    assert {1, 2} & {task for one in wall.boards[-1:] for task in one.runs} == set()


async def test_shares_session_and_sign_in_with_those_who_follow_jobs(
    dinky: SmallDinky, subscribe: Subscribe, put_up: PutUp
) -> None:
    follower = subscribe(dinky.signed_in, 500)
    walls = [put_up(dinky.signed_in, *MANY), put_up(dinky.signed_in, *MANY)]
    dinky.newest = {task: 100 + task for task in MANY}
    await until(lambda: follower.status and all(len(wall.status) == len(MANY) for wall in walls))

    assert dinky.count(SIGN_IN) == 1
    assert len(watchers()) == 1


@pytest.mark.parametrize("tasks", [range(1, 4), MANY], ids=["few", "many"])
async def test_an_outage_is_waited_out(
    dinky: SmallDinky,
    config: DinkyConfig,
    put_up: PutUp,
    tasks: range,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("airflow_provider_dinky.jobs.wait_log.SILENCE_WORTH_A_WORD", 0.3)
    caplog.set_level("INFO", "airflow_provider_dinky")
    dinky.newest = {task: 100 + task for task in tasks}
    wall = put_up(config, *tasks)
    await until(lambda: len(wall.status) == len(tasks))
    dinky.instead[""] = bad_gateway
    await until(lambda: "No answer for" in caplog.text)
    shown = len(wall.boards)
    await until(lambda: dinky.at_once == 0)
    dinky.forget_what_was_asked()
    await until(lambda: len(dinky.asked) >= 3)
    # One probe after the other, however many are watched.
    assert dinky.most_at_once == 1
    assert len(wall.boards) == shown

    dinky.status.update(dict.fromkeys(range(101, 200), "FAILED"))
    del dinky.instead[""]
    await until(lambda: set(wall.status.values()) == {"FAILED"})
    assert caplog.text.count("No answer for") == 1
    assert caplog.text.count("Dinky answers again") == 1


async def test_a_lost_job_is_refreshed_where_that_can_be(
    dinky: SmallDinky, config: DinkyConfig, put_up: PutUp
) -> None:
    dinky.newest = {1: 101}
    dinky.status[101] = "UNKNOWN"

    def found(request: web.BaseRequest) -> web.StreamResponse:
        dinky.status[101] = "RUNNING"
        return envelope({"instance": {"id": 101, "jid": "ab", "status": "RUNNING", "taskId": 1}})

    dinky.instead[REFRESH] = found
    wall = put_up(config, 1)
    if config.has_credentials:
        await until(lambda: wall.status.get(1) == "RUNNING")
    else:
        await until(lambda: dinky.count(NEWEST) >= 5)
    assert dinky.count(REFRESH) == int(config.has_credentials)


def seen(job: int, status: JobStatus) -> UnknownJob:
    return UnknownJob(status, instance=JobInstance(id=job, status=status))


async def test_a_refresh_of_a_run_that_has_been_followed_by_another_is_no_news() -> None:
    sightings = Sightings(0.0)
    task = TaskSubscription(1, 60, sightings)
    task.watched = True
    task.observe(JobInstance(id=101, status=JobStatus.UNKNOWN), 1.0)
    task.refreshed(seen(101, JobStatus.RUNNING), 2.0)
    runs, _ = sightings.take(print)
    assert [run and run.status for run in runs.values()] == [JobStatus.RUNNING]

    task.observe(JobInstance(id=102, status=JobStatus.RUNNING), 3.0)
    task.refreshed(seen(101, JobStatus.FAILED), 4.0)
    runs, _ = sightings.take(print)
    assert [run and run.id for run in runs.values()] == [102]


async def test_a_poll_loop_that_dies_begins_anew(
    dinky: SmallDinky, config: DinkyConfig, put_up: PutUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, began = Poller.run, []

    async def dying(poller: Poller) -> None:
        began.append(asyncio.get_running_loop().time())
        if len(began) <= 2:
            raise RuntimeError("a bug")
        await run(poller)

    monkeypatch.setattr(Poller, "run", dying)
    wall = put_up(config, 1)
    await until(lambda: wall.status)

    assert len(began) == 3
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(began))


async def test_a_connection_that_cannot_be_used_is_tried_again(
    dinky: SmallDinky, config: DinkyConfig, put_up: PutUp, short: Callable[..., None]
) -> None:
    short("boards", UNUSABLE_PAUSE=0.1)
    good = [False]

    def read() -> DinkyConfig:
        if not good[0]:
            raise DinkyConfigError("field 'host' is empty")
        return config

    wall = put_up(read, 1)
    await until(lambda: len(wall.boards) >= 2)
    assert [dict(one.unreadable) for one in wall.boards[:2]] == [{1: "field 'host' is empty"}] * 2
    good[0] = True
    await until(lambda: wall.status)


async def test_boards_don_t_come_faster_than_anybody_wants(dinky: SmallDinky, put_up: PutUp) -> None:
    wall = put_up(dinky.anonymous, *range(1, 101), poll_interval=1.0)
    await until(lambda: len(wall.boards) >= 12)

    assert all(later - earlier >= 0.19 for earlier, later in pairwise(wall.times))


async def test_one_registry_a_connection() -> None:
    assert watched_tasks("one") is watched_tasks("one")
    assert watched_tasks("one") is not watched_tasks("other")
