# SPDX-License-Identifier: Apache-2.0
"""How long things take in the sandbox, measured on a real Dinky 1.1.0 with a Flink 1.18 cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds on the sandbox's clock.

    ``first_submit`` is what the first submit after a server start takes. A real server needs 20 to 30 s (on
    YARN and Kubernetes minutes); the default is short so that a first try is quick.
    """

    submit: float = 0.4
    first_submit: float = 1.0
    savepoint: float = 1.1
    cancel: float = 0.25
    job_start: float = 0.3
    """From Flink's INITIALIZING to RUNNING."""
    task_start: float = 0.2
    """From a job's RUNNING to that of its tasks."""
    restore: float = 1.0
    """The same for a job that is started from a savepoint or checkpoint: its tasks are INITIALIZING meanwhile."""
    slot_timeout: float = 300.0
    """For so long a job waits for a free slot, then it is FAILED."""
    job_stop: tuple[float, float] = (0.0, 1.9)
    """From the answer to a cancel, or to a savepoint that stops, to the job's end in Flink (least, most)."""
    task_manager_lost: float = 19.0
    """From the loss of a task manager to FAILED."""
    first_look: tuple[float, float] = (1.0, 8.0)
    """Dinky looks at a new job for the first time after this (least, most); INITIALIZING until then."""
    look_every: tuple[float, float] = (4.0, 10.0)
    """Dinky looks again at this interval (least, most), and so long after a stop: by so much its states lag."""
    unknown_after: float = 60.0
    """From RECONNECTING to UNKNOWN."""
    stop_wait: float = 22.0
    """For so long a restart waits for the old job to stop, then it fails."""
    stop_poll: float = 2.0
    """A waiting restart looks at the job this often."""
