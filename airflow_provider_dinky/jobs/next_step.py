# SPDX-License-Identifier: Apache-2.0
"""What whoever follows a job does next."""

from __future__ import annotations

from enum import Enum


class Next(Enum):
    """What comes next: look at it after the usual pause, have Dinky refresh it now, look at its
    tasks or its checkpoints now, or nothing more."""

    LOOK = "look"
    REFRESH = "refresh"
    TASKS = "tasks"
    CHECKPOINT = "checkpoint"
    DONE = "done"
    FAILED = "failed"
    UNREADABLE = "unreadable"


ENDED = frozenset({Next.DONE, Next.FAILED, Next.UNREADABLE})
"""After these there is nothing more to wait for."""
INSPECTIONS = frozenset({Next.TASKS, Next.CHECKPOINT})
"""What takes another question, about Flink's view of the job."""
