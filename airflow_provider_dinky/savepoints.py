# SPDX-License-Identifier: Apache-2.0
"""Taking a savepoint once: if the answer is lost, Dinky's list tells, and it is not asked for a second time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_dinky.client.errors import DinkyConnectionError, DinkyError

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import SavepointType
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.pace import Pace

log = logging.getLogger(__name__)


def take_savepoint(
    hook: DinkyHook,
    dinky_task_id: int,
    savepoint_type: SavepointType,
    pace: Pace,
) -> str:
    """Take a savepoint of a task's job and return its path.

    :raises DinkyError: none was taken; with ``outcome_unknown`` if one may be under way.
    """
    known = newest_savepoint(hook, dinky_task_id)
    try:
        path = hook.trigger_savepoint(dinky_task_id, savepoint_type).path
        assert path is not None
        return path
    except DinkyError as error:
        if not error.outcome_unknown or not hook.config.has_credentials:
            raise
        log.warning("The answer of the savepoint was lost; looking for it. %s", error)
        deadline = pace.now() + hook.config.savepoint_timeout
        for pause in pace.pauses():
            try:
                newest = newest_savepoint(hook, dinky_task_id)
            except DinkyConnectionError as unreachable:
                log.debug("Dinky cannot be asked yet: %s", unreachable)
                newest = known
            if newest is not None and newest != known:
                return newest
            if pace.now() >= deadline:
                break
            pace.sleep(pause)
        raise


def newest_savepoint(hook: DinkyHook, dinky_task_id: int) -> str | None:
    """Path of the newest savepoint of a task that Dinky knows; None without one, or without credentials."""
    if not hook.config.has_credentials:
        return None
    savepoints = hook.list_savepoints(dinky_task_id)
    return savepoints[0].path if savepoints else None


def is_savepoint_of(path: str, job_id: str | None) -> bool:
    """Whether a savepoint is one of a Flink job, by its name: ``savepoint-<first six of the job id>-...``."""
    return bool(job_id) and f"savepoint-{str(job_id)[:6]}-" in path
