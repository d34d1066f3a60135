# SPDX-License-Identifier: Apache-2.0
"""A simulated job: an entry whose state follows from the time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from .engine import Submission
from .java import Throwable
from .statements import job_name

ROUNDING_SECONDS = 1e-5
"""Within so much two moments that were computed differently are the same."""


@dataclass(frozen=True)
class TakenSavepoint:
    """A savepoint of a job: its path and when it was taken (seconds since 1970)."""

    path: str
    taken: float


@dataclass(frozen=True)
class Origin:
    """The savepoint or checkpoint that a job was started from: its path, the number that it bears, and the SQL
    of the job that it is of (None where that is not known)."""

    path: str
    id: int
    statement: str | None = None


@dataclass(frozen=True)
class Failover:
    """A failure that a job survived: at ``moment`` its tasks stopped, at ``back`` they run again.

    ``reason`` is None where Flink does not know it (any more).
    """

    moment: float
    back: float
    reason: Throwable | None


@dataclass(frozen=True)
class RestartLoop:
    """A job whose tasks fail each time, ``after`` seconds, and which is started again ``pause`` seconds later."""

    reason: Throwable
    after: float
    pause: float

    def failovers(self, begin: float, until: float) -> Iterator[Failover]:
        """Yield all that there have been."""
        moment = begin + self.after
        while moment <= until:
            yield Failover(moment, moment + self.pause, self.reason)
            moment += self.pause + self.after


class Outages:
    """When no checkpoint completes, for all the jobs of a cluster."""

    def __init__(self) -> None:
        self._switched: list[float] = []

    def switch(self, on: bool, now: float) -> None:
        """From ``now`` on no checkpoint completes, or they do again."""
        if on != bool(len(self._switched) % 2):
            self._switched.append(now)

    def cover(self, moment: float) -> bool:
        """Whether a checkpoint of ``moment`` fails."""
        # One of the very moment of the switch may have been seen already.
        return sum(switched < moment - ROUNDING_SECONDS for switched in self._switched) % 2 == 1


@dataclass
class SimulatedJob:
    """One job: when it was started, and when and how it ends, as far as that is known yet.

    Flink calls it RUNNING from ``running_from`` on; its tasks all run from ``tasks_from`` on only: infinity while
    they wait for a slot or fail each time. ``checkpoints`` is the folder of its checkpoints, as Flink names it.
    From ``halted`` on none completes any more, although it has not ended yet. Until ``away_until`` Flink does not
    know it: its cluster was restarted and has still to recover it.
    """

    jid: str
    submission: Submission
    started: float
    running_from: float
    tasks_from: float
    checkpoints: str
    outages: Outages
    origin: Origin | None = None
    loop: RestartLoop | None = None
    ends: float | None = None
    end_state: str = "FINISHED"
    failure: Throwable | None = None
    cancelled: float | None = None
    halted: float | None = None
    away_until: float = -math.inf
    survived: list[Failover] = field(default_factory=list)
    savepoints: list[TakenSavepoint] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Flink's name of the job: the task's, unless the SQL sets another."""
        return job_name(self.submission.statement) or self.submission.task.name

    def known(self, now: float) -> bool:
        """Whether Flink knows the job."""
        return now >= self.away_until and self.state(now) != "LOST"

    def state(self, now: float) -> str:
        """Return Flink's name of the job's state at ``now``."""
        if self.ends is not None and now >= self.ends:
            return self.end_state
        if self.cancelled is not None:
            return "CANCELLING"
        failovers = self.failovers(now)
        if failovers and now < failovers[-1].back:
            return "RESTARTING"
        return "RUNNING" if now >= self.running_from else "INITIALIZING"

    def tasks(self, now: float) -> dict[str, int]:
        """Return how many of the job's tasks are in which of Flink's states of a task."""
        count, state = self.submission.task.parallelism, self.state(now)
        if state != "RUNNING":
            # The tasks of a job that restarts have failed, and are not started again yet.
            states = {"CANCELLING": "CANCELING", "INITIALIZING": "CREATED", "RESTARTING": "FAILED"}
            return {states.get(state, state): count}
        if self.survived or now >= self.tasks_from:
            return {"RUNNING": count}
        if self.loop is not None:
            return {"INITIALIZING": count}
        if math.isinf(self.tasks_from):
            return {"CREATED": count}
        if self.origin is None:
            return {"DEPLOYING": count}
        # With state to restore they come up one by one.
        passed = (now - self.running_from) / (self.tasks_from - self.running_from)
        up = min(count - 1, int(passed * count))
        return {"RUNNING": up, "INITIALIZING": count - up} if up else {"INITIALIZING": count}

    def failovers(self, now: float) -> list[Failover]:
        """Return the failures that the job has survived until ``now``, oldest first."""
        if self.loop is None:
            return self.survived
        return [*self.loop.failovers(self.running_from, self.until(now)), *self.survived]

    def ended(self, now: float) -> float | None:
        """Return when the job ended, or None if it has not at ``now``."""
        return self.ends if self.ends is not None and now >= self.ends else None

    def end(self, moment: float, state: str, failure: Throwable | None = None) -> None:
        """Make the job end at ``moment`` unless it ends earlier anyway."""
        if self.ends is None or self.ends > moment:
            self.ends, self.end_state, self.failure = moment, state, failure

    def halt(self, moment: float) -> None:
        """Let no checkpoint complete from ``moment`` on."""
        self.halted = moment if self.halted is None else min(moment, self.halted)

    def until(self, now: float) -> float:
        """Return until when the job has done its work at ``now``."""
        moments = (now, self.ends, self.halted)
        return min(math.inf if moment is None else moment for moment in moments)

    def running(self, now: float) -> Iterator[tuple[float, float]]:
        """Yield from when to when its tasks ran, before and after each failover; nothing may be left between."""
        begin = self.tasks_from
        for failover in self.survived:
            if begin < math.inf:
                yield begin, min(failover.moment, self.until(now))
            begin = failover.back
        if begin < math.inf:
            yield begin, self.until(now)
