# SPDX-License-Identifier: Apache-2.0
"""Flink's own REST API over simulated jobs, in the shapes of a Flink 1.18 job manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import failures
from .clock import millis
from .engine import RestAnswer
from .flink_checkpoints import checkpoints, checkpoints_config
from .flink_exceptions import VERTEX_NAME, exceptions
from .simulated_job import SimulatedJob

_JOB_STATES = (
    *("INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED"),
    *("RESTARTING", "SUSPENDED", "RECONCILING"),
)
_TASK_STATES = (
    *("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED"),
    *("CANCELING", "CANCELED", "FAILED", "RECONCILING"),
)
_VERTEX = "cbc357ccb763df2852fee8c4fc7d55f2"


def answer(path: str, jobs: Mapping[str, SimulatedJob], now: float) -> RestAnswer:
    """Return what Flink answers to ``GET path``; an unknown path or job gives a 404."""
    parts = path.strip("/").split("/")
    if parts == ["jobs", "overview"]:
        known = [
            job
            for job in jobs.values()
            if job.known(now) and not (job.submission.task.is_application and job.ended(now))
        ]
        return RestAnswer(200, {"jobs": [overview(job, now) for job in known]})
    if len(parts) < 2 or parts[0] != "jobs":
        return RestAnswer(404, {"errors": ["Not found: " + path]})
    job = jobs.get(parts[1])
    if job is None or not job.known(now):
        return RestAnswer(404, {"errors": [failures.job_not_found(parts[1]).trace("flink")]})
    view = _VIEWS.get("/".join(parts[2:]))
    if view is None:
        return RestAnswer(404, {"errors": ["Not found: " + path]})
    return RestAnswer(200, view(job, now))


def overview(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return the job's line of ``/jobs/overview``."""
    ended, state = job.ended(now), job.state(now)
    counts = {name.lower(): count for name, count in _counts(job, now).items()}
    return {
        "jid": job.jid,
        "name": job.name,
        "start-time": millis(job.started),
        "end-time": -1 if ended is None else millis(ended),
        "duration": millis((now if ended is None else ended) - job.started),
        "state": state,
        "last-modification": millis(_moments(job, now)[state]),
        "tasks": {"total": sum(counts.values()), **counts},
    }


def details(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}``."""
    ended, state = job.ended(now), job.state(now)
    counts = _counts(job, now)
    times = {
        "start-time": millis(job.started),
        "end-time": -1 if ended is None else millis(ended),
        "duration": millis((now if ended is None else ended) - job.started),
    }
    moments = _moments(job, now)
    return {
        "jid": job.jid,
        "name": job.name,
        "isStoppable": False,
        "state": state,
        **times,
        "maxParallelism": -1,
        "now": millis(now),
        "timestamps": {name: millis(moments.get(name, 0.0)) for name in _JOB_STATES},
        "vertices": [
            {
                "id": _VERTEX,
                "name": VERTEX_NAME,
                "maxParallelism": 128,
                "parallelism": job.submission.task.parallelism,
                "status": _together(job.tasks(now)),
                **times,
                "tasks": counts,
                "metrics": _metrics(),
            }
        ],
        "status-counts": counts,
        "plan": plan(job.jid, job.name),
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


def config(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/config``."""
    return {
        "jid": job.jid,
        "name": job.name,
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


def _moments(job: SimulatedJob, now: float) -> dict[str, float]:
    """Return when the job came into each state that it was in; the last time, if it was more than once."""
    moments = {"INITIALIZING": job.started, "CREATED": job.started, "RUNNING": job.running_from}
    for failover in job.failovers(now):
        moments["RESTARTING"] = failover.moment
        if failover.back <= now:
            moments["RUNNING"] = failover.back
    if job.cancelled is not None:
        moments["CANCELLING"] = job.cancelled
    ended = job.ended(now)
    if ended is not None:
        moments[job.state(now)] = ended
    return moments


def _counts(job: SimulatedJob, now: float) -> dict[str, int]:
    tasks = job.tasks(now)
    return {name: tasks.get(name, 0) for name in _TASK_STATES}


def _together(tasks: Mapping[str, int]) -> str:
    """Return the state that Flink gives a vertex whose tasks are in several: that of the one furthest behind."""
    return min(tasks, key=_TASK_STATES.index)


def _metrics() -> dict[str, Any]:
    counters = ("read-bytes", "write-bytes", "read-records", "write-records")
    return {
        **dict.fromkeys(counters, 0),
        **{f"{name}-complete": True for name in counters},
        "accumulated-backpressured-time": 0,
        "accumulated-idle-time": 0,
        "accumulated-busy-time": "NaN",
    }
