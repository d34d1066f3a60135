# SPDX-License-Identifier: Apache-2.0
"""The time that everything in the sandbox goes by.

All waiting goes through a :class:`Clock`, so that the same server can run at its real pace, twenty times
faster, or on a virtual clock that only moves when a test says so.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


def millis(seconds: float) -> int:
    """Return a time or an interval in milliseconds, as Flink tells it."""
    return round(seconds * 1000)


class Clock(Protocol):
    """Where the sandbox reads the time and where it waits."""

    def now(self) -> float:
        """Return the sandbox's time in seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of the sandbox's time."""


class WallClock:
    """Real time, or ``speed`` times as fast: with ``speed=20`` a job of ten seconds takes half a second."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be greater than 0, not {speed}")
        self.speed = speed
        self._epoch = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        return self._epoch + (time.monotonic() - self._start) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class VirtualClock:
    """Time that moves only in :meth:`advance` and :meth:`run`; nothing really sleeps. For one event loop."""

    # Rounds of the event loop after which everything that can go on without the clock has gone on, where the loop
    # does not tell whether that is so: the longest chain in the sandbox (a request that starts a task that wakes
    # another) needs about ten.
    _SETTLE_ROUNDS = 40

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking every sleeper at its own moment and in order."""
        until = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._wake_next()
            await self._settle()
        self._now = until

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what ``coroutine`` returns, letting as much time pass as it waits for."""
        task = asyncio.get_running_loop().create_task(coroutine)
        await self._settle()
        while not task.done():
            if not self._sleepers:
                task.cancel()
                raise RuntimeError("the coroutine waits for something that no passing of time brings")
            self._wake_next()
            await self._settle()
        return task.result()

    def _wake_next(self) -> None:
        moment, _, waiter = heapq.heappop(self._sleepers)
        self._now = max(self._now, moment)
        if not waiter.done():
            waiter.set_result(None)

    async def _settle(self) -> None:
        # asyncio's own loops keep there what is about to run; without anything, nothing more comes by itself.
        ready = getattr(asyncio.get_running_loop(), "_ready", True)
        for _ in range(self._SETTLE_ROUNDS):
            await asyncio.sleep(0)
            if not ready:
                return
