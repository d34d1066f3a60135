# SPDX-License-Identifier: Apache-2.0
"""Looks at a job beyond its state: a forced refresh, and whether Flink still knows it."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import ApiCall, Sleep, Steps
from airflow_provider_dinky.client.errors import DinkyError, FlinkJobUnknownError
from airflow_provider_dinky.client.flink import job_details
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER, UnknownJob, is_gone

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInfoDetail, JobInstance

log = logging.getLogger(__name__)


def confirm_gone(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
) -> Steps[UnknownJob]:
    """Whether Flink does not know an UNKNOWN job any more, said twice, 15 s apart.

    Authenticated by two forced refreshes, or by Flink's REST API where the connection allows that and the place of the
    job is known. Where neither can be asked the job is not gone.

    :param job_instance_id: Dinky's id of the run, whose state is UNKNOWN.
    :param job_id: Flink's id of the job; None for what Dinky says.
    :param job_manager_address: ``host:port`` of the job manager; None for what Dinky says.
    :return: the job as it is now; it may be in sight again (``status``).
    :raises DinkyError: Dinky does not answer, or does not know the job instance.
    """
    seen = yield from inspect_unknown(config, job_instance_id, job_id, job_manager_address)
    if not seen.is_gone:
        return seen
    yield Sleep(CONFIRM_AFTER)
    return (
        yield from inspect_unknown(
            config, job_instance_id, job_id or seen.job_id, job_manager_address or seen.job_manager_address
        )
    )


def inspect_unknown(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
) -> Steps[UnknownJob]:
    """One look at an UNKNOWN job; ``is_gone`` is what was said this once. See :func:`confirm_gone`."""
    if config.has_credentials:
        seen = yield from _refreshed(job_instance_id, job_manager_address)
    else:
        instance: JobInstance = yield calls.get_job_instance(job_instance_id)
        # What Dinky noted without being made to look again may be old: no proof.
        seen = UnknownJob(
            instance.status, False, instance.error, instance.job_id, job_manager_address, instance.type
        )
    seen = replace(seen, job_id=job_id or seen.job_id)
    if seen.status != JobStatus.UNKNOWN or seen.is_gone or not config.allow_flink_rest:
        return seen
    if not seen.job_id or not seen.job_manager_address:
        return seen
    gone = yield from _unknown_to_flink(seen.job_manager_address, seen.job_id)
    return replace(seen, is_gone=gone)


def _refreshed(job_instance_id: int, address: str | None) -> Generator[ApiCall[Any] | Sleep, Any, UnknownJob]:
    detail: JobInfoDetail = yield calls.refresh_job_info_detail(job_instance_id)
    instance = detail.instance
    return UnknownJob(
        instance.status,
        instance.status == JobStatus.UNKNOWN and is_gone(instance.error, instance.job_id),
        instance.error,
        instance.job_id,
        address or detail.job_manager_address,
        detail.cluster_type,
    )


def _unknown_to_flink(address: str, job_id: str) -> Generator[ApiCall[Any] | Sleep, Any, bool]:
    try:
        yield job_details(address, job_id)
    except FlinkJobUnknownError:
        return True
    except DinkyError as error:
        log.debug("Flink at %s was not reached: %s", address, error)
    return False
