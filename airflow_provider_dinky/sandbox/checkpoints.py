# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints and savepoints a simulated job has, and which of them are still there: rules of Flink 1.18."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .simulated_job import ROUNDING_SECONDS, SimulatedJob


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint or savepoint; ``path`` is None where none came of it, ``moment`` in seconds since 1970."""

    id: int
    moment: float
    path: str | None
    is_savepoint: bool
    discarded: bool = False


@dataclass(frozen=True)
class Restore:
    """What a job began with at ``moment``, when it was started or after a failover."""

    id: int
    moment: float
    path: str
    is_savepoint: bool


def snapshots(job: SimulatedJob, now: float) -> list[Snapshot]:
    """Return all that the job has tried until ``now``, oldest first, under consecutive ids.

    Only the newest checkpoint is kept, and that only as long as the job's end allows it. Savepoints stay.
    """
    moments: list[tuple[float, str | None]] = [(moment, None) for moment in _checkpoint_moments(job, now)]
    moments += [(one.taken, one.path) for one in job.savepoints]
    moments.sort(key=lambda pair: pair[0])
    # Flink goes on counting from what a job was started from.
    first = 1 if job.origin is None else job.origin.id + 1
    found = [_snapshot(job, number, *pair) for number, pair in enumerate(moments, start=first)]
    completed = [one.id for one in found if _is_checkpoint(one)]
    kept = completed[-1:] if _keeps_its_newest(job, now) else []
    return [
        dataclasses.replace(one, discarded=True) if _is_checkpoint(one) and one.id not in kept else one
        for one in found
    ]


def restores(job: SimulatedJob, now: float) -> list[Restore]:
    """Return what the job began with each time, oldest first; nothing for a start without state."""
    origin = job.origin
    found = [] if origin is None else [_from_origin(job, job.started)]
    completed = [one for one in snapshots(job, now) if _is_checkpoint(one)] if job.survived else []
    for failover in job.failovers(now):
        if failover.back > job.until(now):
            break
        # Flink does not recover from savepoints that were taken meanwhile.
        newest = next((one for one in reversed(completed) if one.moment <= failover.moment), None)
        if newest is not None and newest.path is not None:
            found.append(Restore(newest.id, failover.back, newest.path, is_savepoint=False))
        elif origin is not None:
            found.append(_from_origin(job, failover.back))
    return found


def _checkpoint_moments(job: SimulatedJob, now: float) -> list[float]:
    every = job.submission.task.checkpoint_every
    if every is None:
        return []
    return [
        begin + number * every
        for begin, end in job.running(now)
        for number in range(1, int((end - begin + ROUNDING_SECONDS) / every) + 1)
    ]


def _snapshot(job: SimulatedJob, number: int, moment: float, savepoint: str | None) -> Snapshot:
    if savepoint is not None:
        return Snapshot(number, moment, savepoint, is_savepoint=True)
    path = None if job.outages.cover(moment) else f"{job.checkpoints}/chk-{number}"
    return Snapshot(number, moment, path, is_savepoint=False)


def _is_checkpoint(snapshot: Snapshot) -> bool:
    return snapshot.path is not None and not snapshot.is_savepoint


def _keeps_its_newest(job: SimulatedJob, now: float) -> bool:
    retention = job.submission.task.retain_checkpoints
    state = job.state(now)
    if state == "FAILED":
        return retention != "none"
    if state == "CANCELED":
        return retention == "on_cancellation"
    # Of a job that went away with its cluster nobody has removed anything.
    return state != "FINISHED"


def _from_origin(job: SimulatedJob, moment: float) -> Restore:
    assert job.origin is not None
    # Flink takes whatever a job was started from for a savepoint.
    return Restore(job.origin.id, moment, job.origin.path, is_savepoint=True)
