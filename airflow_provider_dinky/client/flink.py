# SPDX-License-Identifier: Apache-2.0
"""Flink's own REST API: asked through Dinky when signed in, or directly, if the connection allows that.

It is asked beside the way: such a call waits 3 seconds for an answer, and is not sent again when there is none.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky.client.calls import Answer, ApiCall


def job_details(job_manager_address: str, job_id: str, *, via_dinky: bool = False) -> ApiCall[dict[str, Any]]:
    """A Flink job: its state, when it got there, and what time it is for Flink."""
    return _ask("details", job_manager_address, job_id, "", via_dinky)


def job_exceptions(
    job_manager_address: str, job_id: str, *, via_dinky: bool = False
) -> ApiCall[dict[str, Any]]:
    """What went wrong in a Flink job."""
    return _ask("exceptions", job_manager_address, job_id, "/exceptions", via_dinky)


def job_checkpoints(
    job_manager_address: str, job_id: str, *, via_dinky: bool = False
) -> ApiCall[dict[str, Any]]:
    """The newest checkpoints and savepoints of a Flink job, and what it was restored from."""
    return _ask("checkpoints", job_manager_address, job_id, "/checkpoints", via_dinky)


def job_checkpoints_config(
    job_manager_address: str, job_id: str, *, via_dinky: bool = False
) -> ApiCall[dict[str, Any]]:
    """How often a Flink job takes checkpoints, and whether they stay when it ends."""
    return _ask("checkpoint settings", job_manager_address, job_id, "/checkpoints/config", via_dinky)


def jobs_overview(job_manager_address: str) -> ApiCall[list[dict[str, Any]]]:
    """The jobs that a Flink cluster knows, those that ended not long ago too: ``jid``, ``name``, ``state``."""
    return ApiCall(
        f"list of the jobs at {job_manager_address}",
        "GET",
        "/jobs/overview",
        _jobs,
        bare=True,
        patience="flink",
        base_url=f"http://{job_manager_address}",
    )


def _ask(what: str, address: str, job_id: str, view: str, via_dinky: bool) -> ApiCall[dict[str, Any]]:
    path = f"/jobs/{job_id}{view}"

    def parse(answer: Answer) -> dict[str, Any]:
        found = _object(answer)
        if found.get("jid") not in (None, job_id):
            raise ValueError("it is another job's")
        return found

    return ApiCall(
        f"{what} of Flink job {job_id}",
        "GET",
        f"/api/flink/{address}{path}" if via_dinky else path,
        parse,
        bare=True,
        patience="flink",
        base_url=None if via_dinky else f"http://{address}",
    )


def cancel_job(job_manager_address: str, job_id: str, *, via_dinky: bool = False) -> ApiCall[None]:
    """Cancel one Flink job by its own id, whatever Dinky takes for the task's job.

    :param via_dinky: through Dinky, which passes requests of authenticated users on to Flink (tried on 1.1.0 and
        1.2.0-dev).
    """
    path = f"/jobs/{job_id}"
    return ApiCall(
        f"cancel of Flink job {job_id}",
        "PATCH",
        f"/api/flink/{job_manager_address}{path}" if via_dinky else path,
        lambda answer: None,
        params={"mode": "cancel"},
        repeatable=False,
        bare=True,
        patience="flink",
        base_url=None if via_dinky else f"http://{job_manager_address}",
    )


def _object(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer.data, dict):
        raise ValueError(f"expected an object, got {type(answer.data).__name__}")
    return answer.data


def _jobs(answer: Answer) -> list[dict[str, Any]]:
    jobs = _object(answer).get("jobs")
    if not isinstance(jobs, list):
        raise ValueError(f"expected a list of jobs, got {type(jobs).__name__}")
    return [job for job in jobs if isinstance(job, dict)]
