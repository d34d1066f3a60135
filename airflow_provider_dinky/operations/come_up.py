# SPDX-License-Identifier: Apache-2.0
"""Whether a job that was started just now comes up: Dinky accepts one that its cluster cannot run, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_dinky.client.calls import Steps
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.follower import Follower
from airflow_provider_dinky.operations.inspect_job import look, sees_flink
from airflow_provider_dinky.operations.wait import wait_until

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.followed import FollowedJob


def comes_up(
    config: DinkyConfig, job: FollowedJob, *, until: float, now: Callable[[], float]
) -> Steps[Follower]:
    """Follow a job until all its tasks run, or it has failed, or the time is over.

    :param until: when to stop looking, by ``now``, which counts seconds.
    :return: what followed it; its ``next`` says how far the job has come.
    """
    follower = Follower(
        WaitFor.RUNNING, now(), sees_flink=sees_flink(config, job.job_manager_address), answered=True
    )

    def once() -> Steps[Follower | None]:
        yield from look(config, follower, job, now)
        return follower if follower.has_ended else None

    yield from wait_until(once, until, now)
    return follower
