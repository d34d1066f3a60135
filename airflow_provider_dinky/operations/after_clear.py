# SPDX-License-Identifier: Apache-2.0
"""The job that an Airflow task has started before it was cleared, while it ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import Steps
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.intent import earlier_keys

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInfoDetail
    from airflow_provider_dinky.intent import Journal

log = logging.getLogger(__name__)


def is_of_earlier_generation(
    config: DinkyConfig, journal: Journal, run_key: str, job_instance_id: int
) -> Steps[bool]:
    """Whether the same run of the Airflow task has started a job before the task was cleared.

    Proved by the run key in Dinky's history (authenticated), else by what was written down.

    :param run_key: that of this generation.
    :param job_instance_id: Dinky's id of the job.
    """
    if next(earlier_keys(run_key), None) is None:
        return False
    kept = journal.before_the_clear()
    if kept is not None and kept.job.get("job_instance_id") == job_instance_id:
        return True
    if not config.has_credentials:
        return False
    try:
        detail: JobInfoDetail = yield calls.get_job_info_detail(job_instance_id)
    except DinkyError as error:
        log.debug("Who started job instance %s is not available: %s", job_instance_id, error)
        return False
    return detail.history is not None and is_earlier(detail.history.run_key, run_key)


def is_earlier(other: str | None, run_key: str) -> bool:
    """Whether a run key is of the same run and an earlier generation. Pure.

    :param other: a run key, also one of a roll back, which has more behind the generation.
    """
    task, _, generation = run_key.rpartition("/")
    if not other or not other.startswith(f"{task}/"):
        return False
    number = other[len(task) + 1 :].partition("/")[0]
    return number.isdecimal() and generation.isdecimal() and int(number) < int(generation)
