# SPDX-License-Identifier: Apache-2.0
"""What Flink's REST API tells about checkpoints and savepoints, in the shapes of a Flink 1.18 job manager."""

from __future__ import annotations

from typing import Any

from . import checkpoints as rules
from .checkpoints import Restore, Snapshot
from .clock import millis
from .simulated_job import SimulatedJob

_HISTORY = 10
_TAKES_MS = 15
_FAILURE = "Checkpoint was declined (tasks not ready)"
"""A reason that Flink does not count, so that the job goes on."""
_SUMMARIES = (
    *("checkpointed_size", "state_size", "end_to_end_duration"),
    *("alignment_buffered", "processed_data", "persisted_data"),
)


def checkpoints(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/checkpoints``: checkpoints and savepoints, newest first, the last ten."""
    tried, restored = rules.snapshots(job, now), rules.restores(job, now)
    completed = [one for one in tried if one.path is not None]
    failed = [one for one in tried if one.path is None]
    return {
        "counts": {
            "restored": len(restored),
            "total": len(tried),
            "in_progress": 0,
            "completed": len(completed),
            "failed": len(failed),
        },
        "summary": {name: _summary(name, len(completed)) for name in _SUMMARIES},
        "latest": {
            "completed": _newest([one for one in completed if not one.is_savepoint]),
            "savepoint": _newest([one for one in completed if one.is_savepoint]),
            "failed": _newest(failed),
            "restored": _restored(restored[-1]) if restored else None,
        },
        "history": [_shown(one) for one in reversed(tried[-_HISTORY:])],
    }


def checkpoints_config(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/checkpoints/config``."""
    task = job.submission.task
    every, retention = task.checkpoint_every, task.retain_checkpoints
    off = every is None
    return {
        "mode": "at_least_once" if off else "exactly_once",
        "interval": 9223372036854775807 if every is None else millis(every),
        "timeout": 600000,
        "min_pause": 0,
        "max_concurrent": 1,
        "externalization": {
            "enabled": not off and retention != "none",
            "delete_on_cancellation": off or retention != "on_cancellation",
        },
        "state_backend": "HashMapStateBackend",
        "checkpoint_storage": "FileSystemCheckpointStorage",
        "unaligned_checkpoints": False,
        "tolerable_failed_checkpoints": 0,
        "aligned_checkpoint_timeout": 0,
        "checkpoints_after_tasks_finish": True,
        "state_changelog_enabled": False,
        "changelog_periodic_materialization_interval": 600000,
        "changelog_storage": "memory",
    }


def _newest(some: list[Snapshot]) -> dict[str, Any] | None:
    return _shown(some[-1]) if some else None


def _shown(one: Snapshot) -> dict[str, Any]:
    kind = "failed" if one.path is None else "completed"
    result = (
        {"failure_timestamp": millis(one.moment), "failure_message": _FAILURE}
        if one.path is None
        else {"external_path": one.path, "discarded": one.discarded}
    )
    return {
        "className": kind,
        "id": one.id,
        "status": kind.upper(),
        "is_savepoint": one.is_savepoint,
        "savepointFormat": "CANONICAL" if one.is_savepoint else None,
        "trigger_timestamp": millis(one.moment) - _TAKES_MS,
        "latest_ack_timestamp": -1 if one.path is None else millis(one.moment),
        "checkpointed_size": 0,
        "state_size": 0,
        "end_to_end_duration": _TAKES_MS,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": 1,
        "num_acknowledged_subtasks": int(one.path is not None),
        "checkpoint_type": "SAVEPOINT" if one.is_savepoint else "CHECKPOINT",
        "tasks": {},
        **result,
    }


def _restored(restore: Restore) -> dict[str, Any]:
    return {
        "id": restore.id,
        "restore_timestamp": millis(restore.moment),
        "is_savepoint": restore.is_savepoint,
        "external_path": restore.path,
    }


def _summary(name: str, count: int) -> dict[str, Any]:
    # Flink prints the percentiles of no checkpoints as texts, but for those that it does not measure any more.
    of_none = 0.0 if name == "alignment_buffered" else "NaN"
    value = _TAKES_MS if count and name == "end_to_end_duration" else 0
    percentile: Any = float(value) if count else of_none
    percentiles = dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), percentile)
    return {"min": value, "max": value, "avg": value, **percentiles}
