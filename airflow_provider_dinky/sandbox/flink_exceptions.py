# SPDX-License-Identifier: Apache-2.0
"""What Flink's REST API tells about a job's failures, in the shapes of a Flink 1.18 job manager."""

from __future__ import annotations

from typing import Any

from .clock import millis
from .java import Throwable
from .simulated_job import SimulatedJob

VERTEX_NAME = "Source: src[1] -> Sink: snk[2]"
"""Every job has this one task."""
_LOCATION = {"location": "localhost:43983", "taskManagerId": "127.0.0.1:46305-7f4b94"}
_HISTORY = 16


def exceptions(job: SimulatedJob, now: float) -> dict[str, Any]:
    """Return ``/jobs/{jid}/exceptions``: its failures, newest first, those that it survived as well."""
    ended = job.ended(now)
    failures = [(one.reason, one.moment) for one in job.failovers(now) if one.reason and one.moment <= now]
    entries = [
        {**_of_job(*failure), **_of_task(attempt), "concurrentExceptions": []}
        for attempt, failure in enumerate(failures)
    ]
    # What the task says now: nothing as soon as it runs again.
    thrown = failures[-1:] if job.state(now) == "RESTARTING" else []
    if job.failure is not None and ended is not None:
        cause = job.failure.cause or job.failure
        last = {**_of_job(cause, ended), **_of_task(len(failures))}
        entries.append({**_of_job(job.failure, ended), "concurrentExceptions": [last]})
        failures.append((job.failure, ended))
        thrown = [(cause, ended)]
    newest = failures[-1] if failures else None
    return {
        "root-exception": None if newest is None else newest[0].trace("flink"),
        "timestamp": None if newest is None else millis(newest[1]),
        "all-exceptions": [_thrown(*one) for one in thrown],
        "truncated": False,
        "exceptionHistory": {"entries": entries[::-1][:_HISTORY], "truncated": False},
    }


def _of_job(failure: Throwable, moment: float) -> dict[str, Any]:
    return {
        "exceptionName": failure.kind,
        "stacktrace": failure.trace("flink"),
        "timestamp": millis(moment),
        "failureLabels": {},
    }


def _of_task(attempt: int) -> dict[str, Any]:
    return {"taskName": f"{VERTEX_NAME} (1/1) - execution #{attempt}", **_LOCATION}


def _thrown(failure: Throwable, moment: float) -> dict[str, Any]:
    return {
        "exception": failure.trace("flink"),
        "task": f"{VERTEX_NAME} (1/1)",
        "timestamp": millis(moment),
        **_LOCATION,
    }
