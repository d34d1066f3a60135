# SPDX-License-Identifier: Apache-2.0
"""Flink's own REST API over simulated jobs, in the shapes of a Flink 1.18 job manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import failures
from .engine import RestAnswer

if TYPE_CHECKING:
    from .simulated import SimulatedJob, TakenSavepoint

_JOB_STATES = (
    *("INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED"),
    *("RESTARTING", "SUSPENDED", "RECONCILING"),
)
_TASK_STATES = (
    *("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED"),
    *("CANCELING", "CANCELED", "FAILED", "RECONCILING"),
)
_VERTEX = "cbc357ccb763df2852fee8c4fc7d55f2"
_VERTEX_NAME = "Source: src[1] -> Sink: snk[2]"
_LOCATION = {"location": "localhost:43983", "taskManagerId": "127.0.0.1:46305-7f4b94"}


def answer(path: str, jobs: Mapping[str, SimulatedJob], now: float) -> RestAnswer:
    """Return what Flink answers to ``GET path``; an unknown path or job gives a 404."""
    parts = path.strip("/").split("/")
    if parts == ["jobs", "overview"]:
        known = [job for job in jobs.values() if job.state(now) != "LOST"]
        return RestAnswer(200, {"jobs": [overview(job, now) for job in known]})
    if len(parts) < 2 or parts[0] != "jobs":
        return RestAnswer(404, {"errors": ["Not found: " + path]})
    job = jobs.get(parts[1])
    if job is None or job.state(now) == "LOST":
        return RestAnswer(404, {"errors": [failures.job_not_found(parts[1]).trace("flink")]})
    view = _VIEWS.get("/".join(parts[2:]))
    if view is None:
        return RestAnswer(404, {"errors": ["Not found: " + path]})
    return RestAnswer(200, view(job, now))


def overview(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return the job's line of ``/jobs/overview``."""
    ended, state = job.ended(now), job.state(now)
    task = _task_state(state).lower()
    names = ["total", *(name.lower() for name in _TASK_STATES)]
    return {
        "jid": job.jid,
        "name": job.submission.task.name,
        "start-time": _millis(job.started),
        "end-time": -1 if ended is None else _millis(ended),
        "duration": _millis((now if ended is None else ended) - job.started),
        "state": state,
        "last-modification": _millis(job.running_from if ended is None else ended),
        "tasks": {name: int(name in ("total", task)) for name in names},
    }


def details(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}``."""
    ended, state = job.ended(now), job.state(now)
    task_state = _task_state(state)
    counts = {name: int(name == task_state) for name in _TASK_STATES}
    times = {
        "start-time": _millis(job.started),
        "end-time": -1 if ended is None else _millis(ended),
        "duration": _millis((now if ended is None else ended) - job.started),
    }
    moments = {"INITIALIZING": job.started, "CREATED": job.started, "RUNNING": job.running_from}
    if job.cancelled is not None:
        moments["CANCELLING"] = job.cancelled
    if ended is not None:
        moments[state] = ended
    return {
        "jid": job.jid,
        "name": job.submission.task.name,
        "isStoppable": False,
        "state": state,
        **times,
        "maxParallelism": -1,
        "now": _millis(now),
        "timestamps": {name: _millis(moments.get(name, 0.0)) for name in _JOB_STATES},
        "vertices": [
            {
                "id": _VERTEX,
                "name": _VERTEX_NAME,
                "maxParallelism": 128,
                "parallelism": 1,
                "status": task_state,
                **times,
                "tasks": counts,
                "metrics": _metrics(),
            }
        ],
        "status-counts": counts,
        "plan": plan(job.jid, job.submission.task.name),
    }


def plan(jid: str, name: str) -> dict[str, Any]:
    """Return a job's plan: one node, whatever the SQL says."""
    return {
        "jid": jid,
        "name": name,
        "type": "STREAMING",
        "nodes": [
            {
                "id": _VERTEX,
                "parallelism": 1,
                "operator": "",
                "operator_strategy": "",
                "description": "[1]:TableSourceScan(table=[[default_catalog, default_database, src]], "
                "fields=[id, name])<br/>+- [2]:Sink(table=[default_catalog.default_database.snk], "
                "fields=[id, name])<br/>",
                "optimizer_properties": {},
            }
        ],
    }


def exceptions(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/exceptions``: why the job failed, empty while it has not."""
    ended = job.ended(now)
    failure = job.failure if ended is not None else None
    if failure is None or ended is None:
        return {
            "root-exception": None,
            "timestamp": None,
            "all-exceptions": [],
            "truncated": False,
            "exceptionHistory": {"entries": [], "truncated": False},
        }
    cause, moment = failure.cause or failure, _millis(ended)
    entry = {
        "exceptionName": failure.kind,
        "stacktrace": failure.trace("flink"),
        "timestamp": moment,
        "failureLabels": {},
        "concurrentExceptions": [
            {
                "exceptionName": cause.kind,
                "stacktrace": cause.trace("flink"),
                "timestamp": moment,
                "failureLabels": {},
                "taskName": f"{_VERTEX_NAME} (1/1) - execution #0",
                **_LOCATION,
            }
        ],
    }
    thrown = {
        "exception": cause.trace("flink"),
        "task": f"{_VERTEX_NAME} (1/1)",
        "timestamp": moment,
        **_LOCATION,
    }
    return {
        "root-exception": failure.trace("flink"),
        "timestamp": moment,
        "all-exceptions": [thrown],
        "truncated": False,
        "exceptionHistory": {"entries": [entry], "truncated": False},
    }


def checkpoints(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/checkpoints``: the savepoints taken, newest first."""
    taken = [_checkpoint(number, one) for number, one in enumerate(job.savepoints, start=1)]
    count = len(taken)
    summaries = (
        "checkpointed_size state_size end_to_end_duration alignment_buffered processed_data persisted_data"
    )
    return {
        "counts": {"restored": 0, "total": count, "in_progress": 0, "completed": count, "failed": 0},
        "summary": {name: _summary(name, count) for name in summaries.split()},
        "latest": {
            "completed": None,
            "savepoint": taken[-1] if taken else None,
            "failed": None,
            "restored": None,
        },
        "history": taken[::-1],
    }


def checkpoints_config(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/checkpoints/config``: checkpointing is off, as it is by default."""
    return {
        "mode": "at_least_once",
        "interval": 9223372036854775807,
        "timeout": 600000,
        "min_pause": 0,
        "max_concurrent": 1,
        "externalization": {"enabled": False, "delete_on_cancellation": True},
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


def config(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/config``."""
    return {
        "jid": job.jid,
        "name": job.submission.task.name,
        "execution-config": {
            "execution-mode": "PIPELINED",
            "restart-strategy": "Cluster level default restart strategy",
            "job-parallelism": 1,
            "object-reuse-mode": False,
            "user-config": {},
        },
    }


_VIEWS = {
    "": details,
    "exceptions": exceptions,
    "checkpoints": checkpoints,
    "checkpoints/config": checkpoints_config,
    "config": config,
}


def _task_state(job_state: str) -> str:
    return {"CANCELLING": "CANCELING", "INITIALIZING": "DEPLOYING"}.get(job_state, job_state)


def _metrics() -> dict[str, Any]:
    counters = ("read-bytes", "write-bytes", "read-records", "write-records")
    return {
        **dict.fromkeys(counters, 0),
        **{f"{name}-complete": True for name in counters},
        "accumulated-backpressured-time": 0,
        "accumulated-idle-time": 0,
        "accumulated-busy-time": "NaN",
    }


def _summary(name: str, count: int) -> dict[str, Any]:
    # Flink prints the percentiles of no checkpoints as texts, and not all of them as the same.
    of_none = "0.0" if name == "alignment_buffered" else "NaN"
    percentile: Any = 0.0 if count else of_none
    percentiles = dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), percentile)
    return {"min": 0, "max": 0, "avg": 0, **percentiles}


def _checkpoint(number: int, savepoint: TakenSavepoint) -> dict[str, Any]:
    return {
        "className": "completed",
        "id": number,
        "status": "COMPLETED",
        "is_savepoint": True,
        "savepointFormat": "CANONICAL",
        "trigger_timestamp": _millis(savepoint.taken) - 15,
        "latest_ack_timestamp": _millis(savepoint.taken),
        "checkpointed_size": 0,
        "state_size": 0,
        "end_to_end_duration": 15,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": 1,
        "num_acknowledged_subtasks": 1,
        "checkpoint_type": "SAVEPOINT",
        "tasks": {},
        "external_path": savepoint.path,
        "discarded": False,
    }


def _millis(seconds: float) -> int:
    return round(seconds * 1000)
