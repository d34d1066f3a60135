# SPDX-License-Identifier: Apache-2.0
"""Waits until the look at some job is due and Dinky may be asked."""

from __future__ import annotations

import asyncio
import math
from typing import Generic

from airflow_provider_dinky.watcher.breaker import Breaker
from airflow_provider_dinky.watcher.schedule import S, Schedule


class DueJobs(Generic[S]):
    """A schedule with workers that wait for it.

    :param schedule: when which job is due.
    :param breaker: says when nobody may ask.
    """

    def __init__(self, schedule: Schedule[S], breaker: Breaker) -> None:
        self._schedule = schedule
        self._breaker = breaker
        self._loop = asyncio.get_running_loop()
        self._first_in_line = asyncio.Lock()
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = math.inf

    async def take(self, limit: int) -> list[S]:
        """Wait until at least one look is due, and return at most ``limit`` jobs."""
        # Only one worker waits for the clock, or each look would wake all of them.
        async with self._first_in_line:
            while True:
                now, blocked = self._loop.time(), self._breaker.blocked_until()
                if blocked <= now and (due := self._schedule.take(now, limit)):
                    return due
                next_look = self._schedule.next_look()
                await self._wait_until(math.inf if next_look is None else max(next_look, blocked))

    def join(self, newcomer: S) -> None:
        """Look at a job for the first time, soon."""
        self._schedule.join(newcomer, self._loop.time())
        self._look_at_the_clock()

    def look_again(self, job: S) -> None:
        """Look once more at the job's next regular moment."""
        self._schedule.look_again(job, self._loop.time())
        self._look_at_the_clock()

    def look_in(self, seconds: float, job: S) -> None:
        """Look once more after so many seconds."""
        self._schedule.look_at(job, self._loop.time() + seconds)
        self._look_at_the_clock()

    def breaker_changed(self) -> None:
        """Who waits for Dinky to come back may be able to go on."""
        if not self._breaker.is_open:
            self._schedule.spread_overdue(self._loop.time())
        self._alarm_at = math.inf
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        next_look = self._schedule.next_look()
        if self._alarm is not None and next_look is not None and next_look < self._alarm_at:
            _ring(self._alarm)

    async def _wait_until(self, when: float) -> None:
        alarm = self._alarm = self._loop.create_future()
        self._alarm_at = when
        timer = None if math.isinf(when) else self._loop.call_at(when, _ring, alarm)
        try:
            await alarm
        finally:
            self._alarm = None
            if timer is not None:
                timer.cancel()


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)
