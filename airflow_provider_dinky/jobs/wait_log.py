# SPDX-License-Identifier: Apache-2.0
"""Which line a task's log is due while a job is waited for: the same words at the same moments, whoever waits.

One line a change, one now and then while nothing changes, one for an outage that lasts and one for its end. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HEARTBEAT = 300.0
"""Seconds between two lines while nothing changes."""
SILENCE_WORTH_A_WORD = 60.0
"""Seconds without an answer after which that is worth a line."""
ANSWERS_AGAIN = "Dinky answers again"

Line = Callable[[str], str]
"""A line that waits for the name of what it is about."""


def state_line(name: str, status: object) -> str:
    """The job's state is another one now."""
    return f"State of {name}: {status}"


def unchanged_line(name: str, status: object, seconds: float) -> str:
    """The job's state is still the same."""
    return f"{state_line(name, status)}, for {seconds:.0f} s now"


def not_there_line(awaited: str) -> str:
    """There is no job yet."""
    return f"{awaited[:1].upper()}{awaited[1:]} is not there yet"


def silence_line(seconds: float, why: object) -> str:
    """Dinky has not answered for a while."""
    return f"No answer for {seconds:.0f} s, trying on: {why}"


def tasks_line(name: str, running: int, total: int) -> str:
    """How many of the job's tasks run."""
    return f"{running} of {total} tasks run of {name}"


def checkpoint_line(name: str) -> str:
    """The job has completed its first checkpoint."""
    return f"First checkpoint of {name} is complete"


class WaitLog:
    """Knows what has been said, and so what is due now. Times are seconds on any clock that does not go back.

    :param now: when waiting began.
    """

    __slots__ = ("_due", "_said_at", "_told_of_silence")

    def __init__(self, now: float) -> None:
        self._said_at = now
        self._told_of_silence = False
        self._due: list[Line] = []

    @property
    def is_due(self) -> bool:
        """Whether there is a line to take."""
        return bool(self._due)

    def take(self, name: str) -> list[str]:
        """The lines that are due, each only once.

        :param name: what they are about.
        """
        due, self._due = self._due, []
        return [line(name) for line in due]

    def news(self, line: Line, now: float) -> None:
        """Something has changed."""
        self._due.append(line)
        self._said_at = now

    def answered(self, now: float) -> None:
        """Dinky has answered."""
        if self._told_of_silence:
            self._told_of_silence = False
            self.news(lambda name: ANSWERS_AGAIN, now)

    def unchanged(self, line: Line, now: float) -> None:
        """Nothing has changed: worth a line if none has come for long."""
        if now - self._said_at >= HEARTBEAT:
            self.news(line, now)

    def no_answer(self, seconds: float, why: object, now: float) -> None:
        """Dinky has not answered for so many seconds: worth one line an outage."""
        if seconds >= SILENCE_WORTH_A_WORD and not self._told_of_silence:
            self._told_of_silence = True
            self.news(lambda name: silence_line(seconds, why), now)

    def drop(self) -> None:
        """Say nothing of what was due."""
        self._due = []

    def to_json(self) -> dict[str, Any]:
        """What has been said, for a later process; what is due is not part of it."""
        return {"said_at": self._said_at, "told_of_silence": self._told_of_silence}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> WaitLog:
        """What :meth:`to_json` has kept.

        :raises (KeyError, TypeError, ValueError): it is something else.
        """
        log = cls(float(kept["said_at"]))
        log._told_of_silence = bool(kept["told_of_silence"])
        return log
