# SPDX-License-Identifier: Apache-2.0
"""This provider's trigger for the trigger benchmark's harness, which loads this file and reads ``PEERS``."""

from __future__ import annotations

from typing import Any

from peers import CONN_ID, Peer  # type: ignore[import-not-found]  # of the harness


def _outcome(event: dict[str, Any]) -> str:
    if event["kind"] != "state":
        return "?"
    return {"FINISHED": "success", "FAILED": "failed"}.get(event["status"], "?")


def _dinky(**credentials: str) -> Any:
    return Peer(
        classpath="airflow_provider_dinky.triggers.dinky.JobStatusTrigger",
        # As SubmitTaskOperator makes it when it defers.
        kwargs=lambda job, run: {
            "job_instance_id": job,
            "dinky_conn_id": CONN_ID,
            "wait_for": "finished",
            "poll_interval": run.poll_interval,
            "unknown_timeout": 600.0,
            "dinky_task_id": job,
            "max_outage": 1800.0,
            "status": "RUNNING",
        },
        connection=lambda run: {
            "conn_type": "dinky",
            "host": run.host,
            "port": run.port,
            "schema": run.scheme,
            **credentials,
        },
        outcome=_outcome,
    )


PEERS = {"dinky": _dinky(login="bench", password="bench"), "dinky-anonymous": _dinky()}
