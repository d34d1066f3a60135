# SPDX-License-Identifier: Apache-2.0
"""Taking a savepoint once: if the answer is lost, Dinky's list tells, and it is not asked for a second time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dinky.client.errors import DinkyError, DinkyResponseError

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import SavepointType
    from airflow_provider_dinky.client.models import Savepoint
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.pace import Pace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """A savepoint that was taken, and the Flink job it is of, where that is known."""

    path: str
    job_id: str | None = None


def take_savepoint(
    hook: DinkyHook,
    dinky_task_id: int,
    savepoint_type: SavepointType,
    pace: Pace,
    *,
    known_id: int | None = None,
    job_id: str | None = None,
) -> Taken:
    """Take a savepoint of a task's job.

    :param known_id: id of the newest savepoint that Dinky knew before; None to ask now.
    :param job_id: Flink's id of the job; a savepoint of another one is not taken for the lost answer.
    :raises DinkyError: none was taken; with ``outcome_unknown`` if one may be under way.
    """
    if known_id is None:
        known_id = newest_savepoint_id(hook, dinky_task_id)
    try:
        result = hook.trigger_savepoint(dinky_task_id, savepoint_type)
    except DinkyError as error:
        if not error.outcome_unknown or not hook.config.has_credentials:
            raise
        log.warning("The answer of the savepoint was lost; looking for it. %s", error)
        stops = savepoint_type != "trigger"
        deadline = pace.now() + hook.config.savepoint_timeout
        for pause in pace.pauses():
            try:
                found = taken_since(hook, dinky_task_id, known_id, job_id, stops=stops)
            except DinkyError as unreadable:
                # Whatever keeps Dinky from being asked says nothing about the savepoint.
                log.debug("Dinky cannot be asked yet: %s", unreadable)
            else:
                if found is not None:
                    return Taken(found, job_id)
            if pace.now() >= deadline:
                break
            pace.sleep(pause)
        raise
    if result.path is None:
        raise DinkyResponseError(
            f"connection '{hook.dinky_conn_id}': savepoint of Dinky task {dinky_task_id}: Dinky names no path"
        )
    return Taken(result.path, result.job_id)


def taken_since(
    hook: DinkyHook, dinky_task_id: int, known_id: int, job_id: str | None, *, stops: bool = True
) -> str | None:
    """Path of the newest savepoint of a job that Dinky has taken since; None without one, or without credentials.

    :param known_id: id of the newest savepoint that Dinky knew before.
    :param job_id: Flink's id of the job; None takes any of the task.
    :param stops: only one that a job was stopped with, as far as Dinky tells.
    """
    if not hook.config.has_credentials:
        return None
    return next(
        (
            savepoint.path
            for savepoint in hook.list_savepoints(dinky_task_id)
            if savepoint.id > known_id
            and savepoint.path
            and (not job_id or is_savepoint_of(savepoint.path, job_id))
            and not (stops and let_it_run(savepoint))
        ),
        None,
    )


def newest_savepoint(hook: DinkyHook, dinky_task_id: int) -> str | None:
    """Path of the newest savepoint of a task that Dinky knows; None without one, or without credentials."""
    newest = _newest(hook, dinky_task_id)
    return newest.path if newest else None


def newest_savepoint_id(hook: DinkyHook, dinky_task_id: int) -> int:
    """Id of the newest savepoint of a task that Dinky knows; 0 without one, or without credentials."""
    newest = _newest(hook, dinky_task_id)
    return newest.id if newest else 0


def is_savepoint_of(path: str, job_id: str | None) -> bool:
    """Whether a savepoint is one of a Flink job, by its name: ``savepoint-<first six of the job id>-...``."""
    return bool(job_id) and f"savepoint-{str(job_id)[:6]}-" in path


def _newest(hook: DinkyHook, dinky_task_id: int) -> Savepoint | None:
    if not hook.config.has_credentials:
        return None
    savepoints = hook.list_savepoints(dinky_task_id)
    return savepoints[0] if savepoints else None


def let_it_run(savepoint: Savepoint) -> bool:
    """Whether the job ran on after this savepoint, as far as Dinky tells."""
    return (savepoint.type or "").lower() == "trigger"
