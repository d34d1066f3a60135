# SPDX-License-Identifier: Apache-2.0
"""Flink's own REST API, asked directly: only where Dinky cannot tell, and only if the connection allows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig

PATIENCE = 3.0
"""Seconds for one question: Flink is asked beside the way, so it must not hold anybody up."""


def flink_config(config: DinkyConfig, job_manager_address: str) -> DinkyConfig:
    """How to reach a job manager: as Dinky is reached, but without Dinky's credentials."""
    return replace(
        config,
        base_url=f"http://{job_manager_address}",
        username=None,
        password=None,
        token=None,
        connect_timeout=PATIENCE,
        read_timeout=PATIENCE,
    )


def job_exceptions(job_id: str) -> ApiCall[dict[str, Any]]:
    """What went wrong in a Flink job."""
    return ApiCall(
        f"exceptions of Flink job {job_id}",
        "GET",
        f"/jobs/{job_id}/exceptions",
        lambda answer: dict(answer.data),
        bare=True,
    )
