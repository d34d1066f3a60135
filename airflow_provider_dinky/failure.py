# SPDX-License-Identifier: Apache-2.0
"""Why a job failed, whoever tells it: one definition for the hook, which waits, and for the event trigger."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.flink import job_exceptions
from airflow_provider_dinky.client.models import failure_trace

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import ApiCall
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInfoDetail

log = logging.getLogger(__name__)


def failure_steps(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
    *,
    else_at: str | None = None,
) -> Generator[ApiCall[Any], Any, tuple[str | None, str | None]]:
    """The calls that find out why a run failed: Flink's stack trace, not masked yet, and the job manager's address.

    Dinky tells it to signed-in users only; Flink's REST API is asked if the connection allows that and the job's place
    is known. No error comes out: what nobody tells is None.

    :param job_instance_id: Dinky's id of the run.
    :param job_id: Flink's id of the job; None for what Dinky says.
    :param job_manager_address: ``host:port`` of the job manager, whatever Dinky says; None for what that says.
    :param else_at: ``host:port`` for when Dinky does not say it either.
    """
    told: str | None = None
    trace: str | None = None
    try:
        if config.has_credentials:
            for ask in (calls.get_job_info_detail, calls.refresh_job_info_detail):
                detail: JobInfoDetail = yield ask(job_instance_id)
                told = (detail.history.job_manager_address if detail.history else None) or told
                trace = detail.failure_trace
                if trace:
                    return trace, job_manager_address or told or else_at
            job_id = job_id or detail.instance.job_id
        address = job_manager_address or told or else_at
        if config.allow_flink_rest and job_id and address:
            trace = failure_trace((yield job_exceptions(address, job_id)))
    except DinkyError as error:
        log.debug("Nobody tells why job instance %s failed: %s", job_instance_id, error)
    return trace or None, job_manager_address or told or else_at
