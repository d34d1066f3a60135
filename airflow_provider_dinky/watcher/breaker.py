# SPDX-License-Identifier: Apache-2.0
"""Holds everybody back while Dinky does not answer: one failed poll is one for all."""

from __future__ import annotations

import math
import random

BAD_LUCK = 3
"""Failures in a row, at least, that make an outage."""
FIRST_PAUSE = 0.5
"""Seconds, at most, before the first try after a failure; twice as long after each further one."""


class Breaker:
    """A circuit breaker: closed until all that was under way has failed, then one probe at a time with pauses.

    A request that fails while others are answered is bad luck, and so are two; an outage fails each of them.

    :param chance: where the jitter comes from.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.failures = 0
        """Failures in a row."""
        self.is_open = False
        """Whether Dinky counts as gone."""
        self.failed_probes = 0
        """Probes in a row, since then, that were not answered."""
        self._chance = chance or random.Random()
        self._under_way = 0
        self._outages = 0
        self._until = -math.inf
        self._probing = False

    def blocked_until(self) -> float:
        """Before what time nobody may ask; infinity while a probe is under way."""
        if not self.is_open:
            return -math.inf
        return math.inf if self._probing else self._until

    def block_no_longer_than(self, until: float) -> None:
        """Somebody is there now who would not wait longer than that."""
        self._until = min(self._until, until)

    def asks(self) -> int:
        """Somebody asks now; while the breaker is open that is its probe.

        :return: which outage it probes, to be given back to :meth:`failed`; 0 for none.
        """
        self._under_way += 1
        self._probing = self.is_open
        return self._outages if self.is_open else 0

    def answered(self) -> bool:
        """What somebody asked was answered; returns whether Dinky counted as gone before that."""
        self._under_way -= 1
        was_open, self.is_open = self.is_open, False
        self.failures = self.failed_probes = 0
        self._probing = False
        return was_open

    def failed(self, now: float, longest: float, *, probe: int) -> float:
        """What somebody asked was not answered.

        :param longest: seconds to pause at most.
        :param probe: what :meth:`asks` said; the others that fail late, while it is open, change nothing.
        :return: seconds after which it may be asked again.
        """
        self.failures += 1
        opens = not self.is_open and self.failures >= max(self._under_way, BAD_LUCK)
        self._under_way -= 1
        is_probe = self.is_open and probe == self._outages
        self.is_open = self.is_open or opens
        self._outages += opens
        self.failed_probes += is_probe
        # Sixteen that fail at once are one failure, not sixteen in a row.
        pause = backoff(self.failed_probes + 1 if self.is_open else self.failures, longest, self._chance)
        if opens or is_probe:
            self._until, self._probing = now + pause, False
        return pause


def backoff(failures: int, longest: float, chance: random.Random | None = None) -> float:
    """Seconds to pause after so many failures in a row: doubling, never above ``longest``, with jitter."""
    pause = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 16))
    return (chance or random).uniform(pause / 2, pause)
