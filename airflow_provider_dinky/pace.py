# SPDX-License-Identifier: Apache-2.0
"""The time a task goes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Where a task reads the time (seconds since 1970) and how it waits (seconds)."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @staticmethod
    def pauses() -> Iterator[float]:
        """Seconds between two looks for something."""
        # Not at the top: DAG files are imported without the client.
        from airflow_provider_dinky.operations import wait

        return wait.pauses()
