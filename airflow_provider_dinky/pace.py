# SPDX-License-Identifier: Apache-2.0
"""The time a task goes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat


@dataclass(frozen=True)
class Pace:
    """Where a task reads the time (seconds since 1970) and how it waits (seconds)."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @staticmethod
    def pauses() -> Iterator[float]:
        """Seconds between two looks for something: soon at first, since most is there at once, then every 5."""
        return chain((0.1, 0.25, 0.5, 1.0, 2.0), repeat(5.0))
