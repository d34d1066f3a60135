# SPDX-License-Identifier: Apache-2.0
"""A simulated job: an entry whose state follows from the time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from .engine import Submission
from .java import Throwable

ROUNDING_SECONDS = 1e-5
"""Within so much two moments that were computed differently are the same."""


@dataclass(frozen=True)
class TakenSavepoint:
    """A savepoint of a job: its path and when it was taken (seconds since 1970)."""

    path: str
    taken: float


@dataclass(frozen=True)
class Origin:
    """The savepoint or checkpoint that a job was started from: its path and the number that it bears."""

    path: str
    id: int


@dataclass(frozen=True)
class Failover:
    """A failure that a job survived: at ``moment`` its tasks stopped, at ``back`` they run again."""

    moment: float
    back: float
    reason: Throwable


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

    ``checkpoints`` is the folder of its checkpoints, as Flink names it. From ``halted`` on none completes any
    more, although it has not ended yet.
    """

    jid: str
    submission: Submission
    started: float
    running_from: float
    checkpoints: str
    outages: Outages
    origin: Origin | None = None
    ends: float | None = None
    end_state: str = "FINISHED"
    failure: Throwable | None = None
    cancelled: float | None = None
    halted: float | None = None
    failovers: list[Failover] = field(default_factory=list)
    savepoints: list[TakenSavepoint] = field(default_factory=list)

    def state(self, now: float) -> str:
        """Return Flink's name of the job's state at ``now``."""
        if self.ends is not None and now >= self.ends:
            return self.end_state
        if self.cancelled is not None:
            return "CANCELLING"
        if self.failovers and now < self.failovers[-1].back:
            return "RESTARTING"
        return "RUNNING" if now >= self.running_from else "INITIALIZING"

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
        """Yield from when to when it ran, before and after each failover; nothing may be left between them."""
        begin = self.running_from
        for failover in self.failovers:
            yield begin, min(failover.moment, self.until(now))
            begin = failover.back
        yield begin, self.until(now)
