# SPDX-License-Identifier: Apache-2.0
"""What a task's log says of a job that is waited for: the same words at the same moments, whoever waits.

One line a change, one now and then while nothing changes, and one for each end of an outage.
"""

from __future__ import annotations

from dataclasses import dataclass

HEARTBEAT = 300.0
"""Seconds between two lines while nothing changes."""
SILENCE_WORTH_A_WORD = 60.0
"""Seconds without an answer after which that is worth a line."""
ANSWERS_AGAIN = "Dinky answers again"


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


@dataclass
class Talk:
    """Knows what has been said, and so what is worth a line now; for whoever waits on a worker.

    :param said: when something was said last, in seconds on any clock that does not go back.
    :param answered: when Dinky answered last.
    """

    said: float
    answered: float
    _told_of_silence: bool = False

    def hears(self, line: str | None, still: str, now: float) -> list[str]:
        """Dinky has answered.

        :param line: what has changed; None for nothing.
        :param still: what there is to say if nothing has been said for long.
        """
        self.answered = now
        lines = [ANSWERS_AGAIN] if self._told_of_silence else []
        self._told_of_silence = False
        if line is not None:
            lines.append(line)
        elif not lines and now - self.said >= HEARTBEAT:
            lines.append(still)
        if lines:
            self.said = now
        return lines

    def hears_nothing(self, why: object, now: float) -> list[str]:
        """Dinky has not answered."""
        silent = now - self.answered
        if self._told_of_silence or silent < SILENCE_WORTH_A_WORD:
            return []
        self._told_of_silence = True
        self.said = now
        return [silence_line(silent, why)]
