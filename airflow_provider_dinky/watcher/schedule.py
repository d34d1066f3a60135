# SPDX-License-Identifier: Apache-2.0
"""When which job is looked at next. Pure: it is told what time it is."""

from __future__ import annotations

import heapq
import math
import random
from typing import Generic, Protocol, TypeVar

GATHER = 0.05
"""Seconds that a newcomer waits for others, so that one request asks for all of them."""


class Scheduled(Protocol):
    """What is looked at every ``poll_interval`` seconds while it ``is_wanted``."""

    poll_interval: float
    place: int
    """A schedule that spreads its looks numbers them; 0 before that."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""


S = TypeVar("S", bound=Scheduled)


class Schedule(Generic[S]):
    """Jobs with the time of their next look, which comes once an interval, or a little earlier.

    :param moments: the looks are spread evenly over so many moments of their interval; 0: each comes an interval after
        the one before it.
    :param ahead: when a job is due, others are taken with it that are due within this share of their interval: so
        jobs that can be had in one request come to be due together, whenever they joined.
    :param chance: where the moments begin, so that two triggerers don't ask at the same time.
    """

    def __init__(self, *, moments: int = 0, ahead: float = 0.0, chance: random.Random | None = None) -> None:
        self._moments = moments
        self._ahead = ahead
        self._phase = (chance or random.Random()).random()
        self._heap: list[tuple[float, int, S]] = []
        self._pushed = 0
        self._placed = 0

    def join(self, job: S, now: float) -> None:
        """Look at a newcomer at once, or where several jobs can be had together, with those that come just after."""
        self.look_at(job, now + (min(GATHER, job.poll_interval / 5) if self._ahead else 0.0))

    def look_again(self, job: S, now: float) -> None:
        """Look once more at the job's next regular moment."""
        if not self._moments:
            self.look_at(job, now + job.poll_interval)
            return
        if not job.place:
            self._placed += 1
            job.place = self._placed
        phase = (self._phase + job.place % self._moments / self._moments) % 1
        self.look_at(job, next_moment(now, job.poll_interval, phase))

    def look_at(self, job: S, when: float) -> None:
        """Look once more at a given time."""
        self._pushed += 1
        heapq.heappush(self._heap, (when, self._pushed, job))

    def next_look(self) -> float | None:
        """When the next look is due; None if there is nothing to look at."""
        while self._heap and not self._heap[0][2].is_wanted:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, limit: int) -> list[S]:
        """Remove and return at most ``limit`` jobs, the longest due first; none if none is due yet."""
        taken: list[S] = []
        while len(taken) < limit and (due := self.next_look()) is not None:
            ahead = self._ahead * self._heap[0][2].poll_interval if taken else 0.0
            if due > now + ahead:
                break
            taken.append(heapq.heappop(self._heap)[2])
        return taken

    def spread_overdue(self, now: float) -> None:
        """Give the looks that were missed their next regular moment, instead of all of them now."""
        if self._moments:
            for job in self.take(now, len(self._heap)):
                self.look_again(job, now)


def next_moment(now: float, interval: float, phase: float) -> float:
    """The first moment after ``now`` that lies ``phase`` (0 to 1) of an interval behind a multiple of it."""
    if interval <= 0:
        return now
    offset = phase * interval
    # Right on a moment, rounding must not make that very moment the next one.
    moment = (math.floor((now - offset) / interval + 1e-9) + 1) * interval + offset
    return moment if moment > now else moment + interval
