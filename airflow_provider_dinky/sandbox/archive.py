# SPDX-License-Identifier: Apache-2.0
"""What Dinky passes on of Flink's answers, in its detail of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PERCENTILES = ("p50", "p90", "p95", "p99", "p999")


def passed_on(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return Flink's answers (``job``, ``exceptions``, ``checkpoints`` ...) as Dinky's detail shows them."""
    shown = dict(data)
    if shown["job"] is not None:
        shown["job"] = _job(shown["job"])
    if shown["checkpoints"] is not None:
        shown["checkpoints"] = _checkpoints(shown["checkpoints"])
    return shown


def from_archive(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same for a job that has ended, as Dinky 1.2 shows it: from the archive that Flink left, in which
    many a field gets lost. The reason of a failure is in ``exceptionHistory`` only.

    What becomes of the completed checkpoints (``history``) is not in the recordings: a guess.
    """
    job, exceptions, checkpoints = data["job"], data["exceptions"], data["checkpoints"]
    no_times = {"start-time": None, "end-time": None}
    vertices = [{**vertex, **no_times} for vertex in job["vertices"]]
    settings = data["checkpointsConfig"]
    kept = ("state_backend", "checkpoint_storage", "changelog_storage")
    return {
        **data,
        "job": {**job, **no_times, "status-counts": None, "vertices": vertices},
        "exceptions": {**exceptions, "root-exception": "", "all-exceptions": None},
        "checkpoints": {
            **checkpoints,
            "latest": None,
            "summary": {**checkpoints["summary"], "end_to_end_duration": None},
        },
        "checkpointsConfig": {
            name: value if name in kept else _empty(name, value) for name, value in settings.items()
        },
        "config": {**data["config"], "execution-config": None},
    }


def _empty(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return False
    return 0 if isinstance(value, int) else None


def _job(details: Mapping[str, Any]) -> dict[str, Any]:
    """One key less, three more in every node."""
    active = details["end-time"] == -1
    level = "ok" if active else None
    pressure = {"subtask": 0, "backpressureLevel": "ok", "ratio": 0.0, "idleRatio": 0.0, "busyRatio": "NaN"}
    more: dict[str, Any] = {
        "inputs": None,
        "backpressure": {
            "status": "ok" if active else "deprecated",
            "backpressureLevel": level,
            "end-timestamp": details["now"] if active else None,
            "subtasks": [pressure] if active else None,
        },
        "watermark": [],
    }
    nodes = [{**node, **more} for node in details["plan"]["nodes"]]
    kept = {key: value for key, value in details.items() if key != "isStoppable"}
    return {**kept, "plan": {**details["plan"], "nodes": nodes}}


def _checkpoints(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Percentiles are texts."""
    summary = {
        name: {key: str(value) if key in _PERCENTILES else value for key, value in numbers.items()}
        for name, numbers in statistics["summary"].items()
    }
    return {**statistics, "summary": summary}
