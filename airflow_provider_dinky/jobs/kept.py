# SPDX-License-Identifier: Apache-2.0
"""What a follower has seen, JSON-able: for looks that are processes of their own, as in a sensor's reschedule mode."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.follower import NEVER, Follower
from airflow_provider_dinky.jobs.wait_log import WaitLog

_KEPT = (
    *("since", "error", "restarts", "is_up", "has_checkpoint", "cluster_type", "answered_at"),
    *(
        "_answered",
        "_inspected_at",
        "_refreshed_at",
        "_is_refreshed",
        "_gone_at",
        "_newest_failure",
        "_is_missing",
        "tasks",
    ),
)


def to_json(follower: Follower) -> dict[str, Any]:
    """What has been seen, if the follower's clock is one that all processes share."""
    kept = {name.lstrip("_"): getattr(follower, name) for name in _KEPT}
    kept["refreshed_at"] = None if kept["refreshed_at"] == NEVER else kept["refreshed_at"]
    status = None if follower.status is None else str(follower.status)
    return {**kept, "status": status, "log": follower.log.to_json()}


def restore(follower: Follower, kept: dict[str, Any]) -> None:
    """Let a new follower go on from what :func:`to_json` of an earlier process has kept.

    :raises (KeyError, TypeError, ValueError): it is something else; the follower is as it was.
    """
    log, status = WaitLog.from_json(kept["log"]), kept["status"]
    values = {name: kept[name.lstrip("_")] for name in _KEPT}
    for name in ("since", "answered_at", "_inspected_at"):
        values[name] = float(values[name])
    refreshed_at = values["_refreshed_at"]
    values["_refreshed_at"] = NEVER if refreshed_at is None else float(refreshed_at)
    values["restarts"] = int(values["restarts"])
    status = None if status is None else JobStatus(status)
    for name, value in values.items():
        setattr(follower, name, value)
    follower.log, follower.status = log, status
