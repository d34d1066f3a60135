# SPDX-License-Identifier: Apache-2.0
"""Whether the last job of a task has left state that a start without it would throw away."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import Steps
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.flink_view import flink_view_steps
from airflow_provider_dinky.savepoints import is_savepoint_of, let_it_run

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInstance, Savepoint
    from airflow_provider_dinky.flink_view import FlinkView

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LastJob:
    """What a start has to know of the task's last job, which does not run.

    :param has_state: it left state, or may have left some: a start goes on from that.
    :param why: one sentence for the log or an error.
    """

    has_state: bool
    why: str


def last_job(
    config: DinkyConfig,
    dinky_task_id: int,
    job: JobInstance | None,
    job_manager_address: str | None = None,
) -> Steps[LastJob]:
    """Whether a start of a task that does not run has to resume from what its last job has left.

    Not if it never ran, and not if the last job is FINISHED and no savepoint ended it: that was a batch. A stop with
    savepoint ends a job as FINISHED, too. Where it cannot be seen how a FINISHED job ended (anonymous, without Flink's
    REST API), it may have been stopped so.

    :param job: the task's newest job instance, which has ended or is not known to Flink any more; None for none.
    :param job_manager_address: ``host:port`` of the job manager; for a connection without credentials.
    :raises DinkyError: Dinky does not answer.
    """
    if job is None:
        return LastJob(False, f"Dinky task {dinky_task_id} never ran as a Flink job")
    last = f"the last job of Dinky task {dinky_task_id}, job instance {job.id},"
    if job.status != JobStatus.FINISHED:
        how = f"is {job.status}" if job.status.is_final else "is not known to Flink any more"
        return LastJob(True, f"{last} {how}")
    savepoints: tuple[Savepoint, ...] = ()
    if config.has_credentials:
        savepoints = yield calls.list_savepoints(dinky_task_id)
    if stopped_with(job.job_id, savepoints):
        return LastJob(True, f"{last} was stopped with a savepoint")
    try:
        view = yield from flink_view_steps(config, job.id, job.job_id, job_manager_address, fresh=False)
    except DinkyError as error:
        log.debug("What Flink knows of job instance %s is not visible: %s", job.id, error)
        view = None
    if view is not None and ended_with_savepoint(view):
        return LastJob(True, f"{last} was stopped with a savepoint")
    if view is None and not config.has_credentials:
        return LastJob(
            True, f"{last} is FINISHED, and whether a savepoint ended it is not visible without credentials"
        )
    return LastJob(False, f"{last} is FINISHED, and no savepoint ended it")


def stopped_with(job_id: str | None, savepoints: Iterable[Savepoint]) -> bool:
    """Whether one of the savepoints that Dinky took is one that this Flink job was stopped with."""
    return any(is_savepoint_of(one.path, job_id) and not let_it_run(one) for one in savepoints)


def ended_with_savepoint(view: FlinkView) -> bool:
    """Whether the last that a job did was a savepoint: nothing comes after a stop with savepoint."""
    return bool(view.checkpoints) and view.checkpoints[0].is_savepoint
