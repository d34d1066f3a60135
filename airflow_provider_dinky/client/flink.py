# SPDX-License-Identifier: Apache-2.0
"""Flink's own REST API, asked directly: only where Dinky cannot, and only if the connection allows it."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky.client.calls import ApiCall


def job_exceptions(job_manager_address: str, job_id: str) -> ApiCall[dict[str, Any]]:
    """What went wrong in a Flink job."""
    return ApiCall(
        f"exceptions of Flink job {job_id}",
        "GET",
        f"/jobs/{job_id}/exceptions",
        lambda answer: dict(answer.data),
        bare=True,
        patience="flink",
        base_url=f"http://{job_manager_address}",
    )


def cancel_job(job_manager_address: str, job_id: str) -> ApiCall[None]:
    """Cancel one Flink job by its own id, whatever Dinky takes for the task's job."""
    return ApiCall(
        f"cancel of Flink job {job_id}",
        "PATCH",
        f"/jobs/{job_id}",
        lambda answer: None,
        params={"mode": "cancel"},
        repeatable=False,
        bare=True,
        patience="flink",
        base_url=f"http://{job_manager_address}",
    )
