# SPDX-License-Identifier: Apache-2.0
"""Asks one Dinky for all the jobs and tasks that are watched: in lists where it is signed in, else one by one."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from typing import NoReturn

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.errors import DinkyConnectionError, DinkyError, DinkyRefusedError
from airflow_provider_dinky.client.models import JobInstance, JobState
from airflow_provider_dinky.client.wire import SessionLost
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.jobs.next_step import Next
from airflow_provider_dinky.operations.inspect_job import refresh, sees_flink
from airflow_provider_dinky.watcher.breaker import Breaker
from airflow_provider_dinky.watcher.due import DueJobs
from airflow_provider_dinky.watcher.newest import newest_runs
from airflow_provider_dinky.watcher.schedule import Schedule
from airflow_provider_dinky.watcher.task_subscription import TaskSubscription
from airflow_provider_dinky.watcher.together import until_one_ends
from airflow_provider_dinky.watcher.watched import Watched

ABREAST = 16
"""Single requests under way at most; also the most connections that a client needs."""
LIST_GAP = 1.0
"""Seconds from one list to the next where there is room for that: Airflow starts triggers once a second."""
AHEAD = 0.5
"""Share of its interval by which a job may be listed early, with others that are due."""
MOMENTS = 20
"""Moments of an interval at which jobs are asked for one by one: a few together cost less than each alone."""
LIST_ABOVE = 50
"""Jobs up to which they are asked for one by one where a list costs a sign-in: each sign-in of the same user pushes out
those of the tasks that start meanwhile, and theirs push out this one."""
HANDFUL = 10
"""Tasks whose newest runs are asked for one by one; those of more are listed, all at once."""
AT_A_STRETCH = 50
"""Jobs of a list that are dealt with before everybody else on the event loop has a turn."""
BREATH = 0.01
"""Seconds that they have: whoever's job has ended keeps the triggerer busy for a while."""
REFRESH_GAP = 1.0
"""Seconds between two forced refreshes, each of which makes Dinky ask a Flink cluster."""
LIST_PAUSE = 60.0
"""Seconds for which jobs are asked for one by one after Dinky has refused a list."""
SIGN_OUTS = 5
"""Sign-outs in a row after which a list counts as refused: somebody else signs in as the same user."""
DOUBTFUL_PROBES = 3
"""Probes in a row, unanswered, after which the connection itself is doubted."""

log = logging.getLogger(__name__)


class Poller:
    """Polls over one client until it is cancelled.

    :param client: without retries of its own.
    :param subscriptions: what is watched, as it is at any time; newcomers are also told to :meth:`join`.
    :param tasks: which of them are tasks.
    :param doubt: called when Dinky has not answered repeatedly.
    """

    def __init__(
        self,
        client: AsyncDinkyClient,
        subscriptions: Collection[Watched],
        tasks: Collection[TaskSubscription],
        doubt: Callable[[], None],
    ) -> None:
        self._client = client
        self._signed_in = client.config.has_credentials
        self._subscriptions = subscriptions
        self._tasks = tasks
        self._doubt = doubt
        self._loop = asyncio.get_running_loop()
        self._breaker = Breaker()
        self._listed: DueJobs[Watched] = DueJobs(Schedule(ahead=AHEAD), self._breaker)
        self._listed_tasks: DueJobs[Watched] = DueJobs(Schedule(ahead=AHEAD), self._breaker)
        self._single: DueJobs[Watched] = DueJobs(Schedule(moments=MOMENTS), self._breaker)
        self._lists_from = -math.inf if self._signed_in else math.inf
        self._sign_outs = 0
        self._to_refresh: asyncio.Queue[tuple[Watched, FollowedJob]] = asyncio.Queue()
        self._will_refresh: set[Watched] = set()
        for subscription in subscriptions:
            self.join(subscription)

    def is_held_back(self) -> bool:
        """Whether Dinky counts as gone, and somebody is there who finds out when it comes back."""
        return self._breaker.is_open and bool(self._subscriptions)

    def join(self, newcomer: Watched) -> None:
        """Look at a job for the first time, soon."""
        newcomer.follower.allow(sees_flink(self._client.config, newcomer.job_manager_address))
        self._breaker.block_no_longer_than(self._loop.time() + newcomer.poll_interval)
        self._home(newcomer).join(newcomer)

    async def run(self) -> NoReturn:
        """Poll for ever."""
        workers = [*(self._ask_singly() for _ in range(ABREAST)), self._refresh()]
        if self._signed_in:
            workers += [self._ask_in_lists(), self._ask_for_tasks()]
        await until_one_ends(*workers)
        raise AssertionError("unreachable")

    async def _ask_in_lists(self) -> None:
        while True:
            batch = await self._listed.take(calls.PAGE_SIZE)
            if not self._lists_jobs():
                self._ask_singly_for(batch)
                continue
            next_list = self._loop.time() + self._list_gap(batch)
            await self._ask_for_all(batch)
            await asyncio.sleep(max(next_list - self._loop.time(), 0.0))

    def _list_gap(self, batch: list[Watched]) -> float:
        """Seconds from one list to the next: time enough for newcomers to gather, and for all pages in an interval."""
        pages = math.ceil(len(self._subscriptions) / calls.PAGE_SIZE)
        return min(LIST_GAP, min(job.poll_interval for job in batch) / (pages + 1))

    async def _ask_for_all(self, batch: list[Watched]) -> None:
        ids = {job.job_instance_id for job in batch if job.job_instance_id is not None}
        probe = self._breaker.asks()
        try:
            jobs = await self._client.send(calls.list_job_instances(ids))
        except DinkyError as error:
            self._list_failed(self._listed, batch, error, probe)
            return
        self._answered()
        self._sign_outs = 0
        for n, subscription in enumerate(batch, 1):
            job = jobs.get(subscription.job_instance_id or 0)
            if job is None:
                self._ask_singly_for([subscription])
            else:
                self._saw(subscription, job)
            if n % AT_A_STRETCH == 0:
                await asyncio.sleep(BREATH)

    async def _ask_for_tasks(self) -> None:
        while True:
            batch = await self._listed_tasks.take(max(len(self._tasks), 1))
            if not self._lists_tasks():
                self._ask_singly_for(batch)
                continue
            next_list = self._loop.time() + self._list_gap(batch)
            await self._ask_for_newest(batch)
            await asyncio.sleep(max(next_list - self._loop.time(), 0.0))

    async def _ask_for_newest(self, batch: list[Watched]) -> None:
        wanted = {task.dinky_task_id for task in batch if task.dinky_task_id is not None}
        probe = self._breaker.asks()
        try:
            runs = await newest_runs(self._client, wanted)
        except DinkyError as error:
            self._list_failed(self._listed_tasks, batch, error, probe)
            return
        self._answered()
        self._sign_outs = 0
        for n, task in enumerate(batch, 1):
            run = runs.get(task.dinky_task_id or 0)
            if run is None:
                self._ask_singly_for([task])
            else:
                self._saw(task, run)
            if n % AT_A_STRETCH == 0:
                await asyncio.sleep(BREATH)

    def _lists_jobs(self) -> bool:
        costs_nothing = self._client.config.token is not None
        return (
            costs_nothing or len(self._subscriptions) > LIST_ABOVE
        ) and self._loop.time() >= self._lists_from

    def _lists_tasks(self) -> bool:
        return len(self._tasks) > HANDFUL and self._loop.time() >= self._lists_from

    async def _ask_singly(self) -> None:
        while True:
            (subscription,) = await self._single.take(1)
            probe = self._breaker.asks()
            try:
                job = await self._look(subscription)
            except DinkyRefusedError as error:
                self._answered()
                subscription.give_up(error, self._loop.time())
                if subscription.is_wanted:
                    self._home(subscription).look_again(subscription)
            except DinkyError as error:
                self._failed(self._single, [subscription], error, probe)
            else:
                self._answered()
                self._saw(subscription, job)

    async def _look(self, subscription: Watched) -> JobInstance | None:
        if subscription.job_instance_id is not None:
            return await self._client.send(calls.get_job_instance(subscription.job_instance_id))
        if subscription.dinky_task_id is None:
            nothing = "neither a job instance nor a Dinky task was named to follow"
            raise DinkyRefusedError(f"{nothing}; give one of them", code=0, reason=nothing)
        newest = await self._client.send(calls.get_latest_job_instance(subscription.dinky_task_id))
        return newest if newest is not None and newest.id > subscription.newer_than else None

    async def _refresh(self) -> None:
        while True:
            subscription, job = await self._to_refresh.get()
            self._will_refresh.discard(subscription)
            if not subscription.is_wanted or self._breaker.is_open:
                continue
            follower = subscription.follower
            try:
                seen = await self._client.run(refresh(self._client.config, follower, job))
            except DinkyError as error:
                log.debug("No forced refresh: %s", error)
                follower.no_refresh(self._loop.time(), is_over=not isinstance(error, DinkyConnectionError))
            else:
                if seen is None:
                    follower.no_refresh(self._loop.time(), is_over=True)
                    continue
                subscription.refreshed(seen, self._loop.time())
            await asyncio.sleep(REFRESH_GAP)

    def _home(self, subscription: Watched) -> DueJobs[Watched]:
        if subscription.job_instance_id is not None:
            return self._listed if self._lists_jobs() else self._single
        in_list = isinstance(subscription, TaskSubscription) and self._lists_tasks()
        return self._listed_tasks if in_list else self._single

    def _ask_singly_for(self, batch: Collection[Watched]) -> None:
        for subscription in batch:
            self._single.look_in(0, subscription)

    def _saw(self, subscription: Watched, job: JobState | None) -> None:
        now = self._loop.time()
        subscription.observe(job, now)
        if not subscription.is_wanted:
            return
        wants_refresh = subscription.follower.next is Next.REFRESH
        if wants_refresh and job is not None and subscription not in self._will_refresh:
            self._will_refresh.add(subscription)
            run = FollowedJob(
                subscription.dinky_task_id, job.id, job.job_id, subscription.job_manager_address
            )
            self._to_refresh.put_nowait((subscription, run))
        self._home(subscription).look_again(subscription)

    def _answered(self) -> None:
        if self._breaker.answered():
            self._breaker_changed()

    def _list_failed(
        self, due: DueJobs[Watched], batch: list[Watched], error: DinkyError, probe: int
    ) -> None:
        self._sign_outs = self._sign_outs + 1 if isinstance(error, SessionLost) else 0
        is_trouble = isinstance(error, DinkyConnectionError) or 0 < self._sign_outs < SIGN_OUTS
        if is_trouble:
            self._failed(due, batch, error, probe)
            return
        log.warning(
            "Jobs are asked for one by one for %.0f s, as Dinky does not list them: %s", LIST_PAUSE, error
        )
        self._lists_from, self._sign_outs = self._loop.time() + LIST_PAUSE, 0
        self._answered()
        self._ask_singly_for(batch)

    def _failed(self, due: DueJobs[Watched], batch: list[Watched], error: DinkyError, probe: int) -> None:
        now, why = self._loop.time(), str(error)
        # All are held back now: for no longer than the most impatient one would wait.
        longest = min((job.poll_interval for job in self._subscriptions), default=0.0)
        pause = self._breaker.failed(now, longest, probe=probe)
        for subscription in batch:
            due.look_in(pause, subscription)
        for subscription in list(self._subscriptions) if self._breaker.is_open else batch:
            # What one of them was told is no answer about the others.
            subscription.no_answer(why, now)
        if self._breaker.failures == 1:
            log.info("Dinky did not answer: %s", why)
        if self._breaker.failed_probes >= DOUBTFUL_PROBES:
            self._doubt()
        if self._breaker.is_open:
            self._breaker_changed()

    def _breaker_changed(self) -> None:
        self._listed.breaker_changed()
        self._listed_tasks.breaker_changed()
        self._single.breaker_changed()
