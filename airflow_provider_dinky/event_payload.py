# SPDX-License-Identifier: Apache-2.0
"""What an event tells of a change: facts that can be had in a few seconds, secrets masked; what cannot is left out."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.changes import NEVER_RAN, Change, EventKind
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.java import noted_cause, root_cause
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.failure import failure_steps
from airflow_provider_dinky.followed import dinky_url, flink_url
from airflow_provider_dinky.resume_points import known_state_steps

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import ApiCall
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInfoDetail, JobInstance
    from airflow_provider_dinky.jobs.gone import UnknownJob
    from airflow_provider_dinky.resume_points import KnownState, Look

PAYLOAD_VERSION = 1

log = logging.getLogger(__name__)


@dataclass
class Facts:
    """What has been found out about a change so far.

    :param run: the run it is about; None if the task never ran.
    :param newest: the task's newest run, whose state a new job would be resumed from.
    :param job_manager_address: ``host:port`` of the job manager; only needed without credentials.
    :param unknown: what was found out about a job that is UNKNOWN.
    :param look: finds out which state is still there, on this machine's disks too; None while nothing is known of it.
    """

    conn_id: str
    dinky_task_id: int
    change: Change
    run: JobInstance | None = None
    newest: JobInstance | None = None
    job_manager_address: str | None = None
    reason: str | None = None
    dinky_url: str | None = None
    look: Look | None = None
    newest_savepoint: str | None = None
    newest_checkpoint: str | None = None
    unknown: UnknownJob | None = None

    def payload(self) -> dict[str, Any]:
        """The event, JSON-able; ``event_id`` is the same if it is sent once more."""
        change = self.change
        job_id = self.run.job_id if self.run else None
        return {
            "v": PAYLOAD_VERSION,
            "event": str(change.kind),
            "event_id": f"{self.conn_id}/{self.dinky_task_id}/{change.name}",
            "dinky_conn_id": self.conn_id,
            "dinky_task_id": self.dinky_task_id,
            "job_instance_id": change.job_instance_id,
            "job_id": job_id,
            "status": None if change.status is None else str(change.status),
            "since": datetime.fromtimestamp(change.since, timezone.utc).isoformat(timespec="seconds"),
            "reason": self.reason or _in_words(change),
            "dinky_url": self.dinky_url,
            "flink_url": flink_url(self.job_manager_address, job_id),
            "newest_savepoint": self.newest_savepoint,
            "newest_checkpoint": self.newest_checkpoint,
            **({} if self.unknown is None else {"gone": self.unknown.is_gone}),
        }

    def know(self, config: DinkyConfig) -> None:
        """Take in what needs no request."""
        run, change = self.run, self.change
        if change.job_instance_id is not None:
            self.dinky_url = dinky_url(config.base_url, change.job_instance_id)
        cause = noted_cause(run.error) if run is not None else None
        noted = f" ({config.redact(cause)})" if cause else ""
        why = self.unknown.reason if self.unknown is not None else _in_words(change)
        self.reason = why + noted
        if change.kind is EventKind.FAILED and not noted:
            self.reason = (
                "neither Dinky nor Flink tells the reason"
                if config.has_credentials
                else f"reason not available: sign in to Dinky in connection '{config.name}'"
            )

    def know_state(self, known: KnownState) -> None:
        """Take in what ``look`` has found."""
        self.newest_savepoint = known.savepoint.path if known.savepoint else None
        self.newest_checkpoint = known.checkpoint.path if known.checkpoint else None


def fact_steps(config: DinkyConfig, facts: Facts) -> Generator[ApiCall[Any], Any, None]:
    """The calls that find out what an event tells beyond the change itself, the most important first.

    Best effort: what has been found stands in ``facts`` if the rest takes too long, and no error comes out.
    """
    facts.know(config)
    run = facts.run
    if run is not None and facts.change.kind is EventKind.FAILED:
        trace, facts.job_manager_address = yield from failure_steps(
            config, run.id, run.job_id, else_at=facts.job_manager_address
        )
        facts.reason = root_cause(config.redact(trace)) if trace else facts.reason
    elif run is not None and config.has_credentials:
        try:
            detail: JobInfoDetail = yield calls.get_job_info_detail(run.id)
            facts.job_manager_address = _address(detail) or facts.job_manager_address
        except DinkyError as error:
            log.debug("No details of job instance %s: %s", run.id, error)
    try:
        facts.look = yield from known_state_steps(
            config, facts.dinky_task_id, facts.newest, facts.job_manager_address
        )
    except (DinkyError, DinkyTaskError) as error:
        log.debug("The state of Dinky task %s is not known: %s", facts.dinky_task_id, error)


def _address(detail: JobInfoDetail) -> str | None:
    return detail.history.job_manager_address if detail.history else None


def _in_words(change: Change) -> str:
    if change.kind is EventKind.DOWN:
        if change.job_instance_id is None:
            return "the task has no job, and Dinky knows of none before"
        return f"the task has no active job: its last one, job instance {change.job_instance_id}, is {change.status}"
    if change.kind is EventKind.RUNNING:
        if change.was == NEVER_RAN:
            return "the task's job runs; it never ran before"
        return f"the task's job runs again{f'; it was {change.was} before' if change.was else ''}"
    return {
        EventKind.FAILED: "the job failed",
        EventKind.CANCELED: "it was cancelled, by somebody or by Flink",
        EventKind.FINISHED: "it has finished, or was stopped with a savepoint",
        EventKind.UNKNOWN: "Dinky lost sight of the job, which may still be running: check its Flink cluster",
    }[change.kind]
