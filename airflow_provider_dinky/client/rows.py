# SPDX-License-Identifier: Apache-2.0
"""Reading what endpoints answer: the shape, and whether a row is of what was asked for.

A row of another task or another job would be taken for ours: its savepoint resumed from, its job followed or stopped.
So each row that names whose it is, is checked; strangers are left out, with one line in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from airflow_provider_dinky.client.models import (
    DinkyTask,
    HistoryEntry,
    JobInfoDetail,
    JobInstance,
    JobState,
    Savepoint,
)

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", JobInstance, HistoryEntry, Savepoint)
log = logging.getLogger(__name__)
_STATES = TypeAdapter(list[JobState])


def as_object(data: Any) -> dict[str, Any]:
    """The data, if it is an object.

    :raises ValueError: it is something else.
    """
    if not isinstance(data, dict):
        raise ValueError(f"expected an object, got {type(data).__name__}")
    return data


def as_text(data: Any) -> str:
    """The data, if it is a text that says something.

    :raises ValueError: it is something else.
    """
    if not isinstance(data, str) or not data:
        raise ValueError(f"expected a text, got {type(data).__name__}")
    return data


def as_list(data: Any) -> list[Any]:
    """The data, if it is a list.

    :raises ValueError: it is something else.
    """
    if not isinstance(data, list):
        raise ValueError(f"expected a list, got {type(data).__name__}")
    return data


def states(data: Any, asked: Collection[int]) -> dict[int, JobState]:
    """The states in a page of job instances, by id."""
    rows = _page(data)
    found: list[JobState]
    try:
        # A thousand at once take half the time of a thousand one by one.
        found = _STATES.validate_python(rows)
    except ValidationError:
        found = _readable(rows, JobState)
    by_id = {job.id: job for job in found}
    strangers = by_id.keys() - set(asked)
    if not strangers:
        return by_id
    _log_strangers("job instances", len(strangers), f"job instance {min(strangers)}")
    return {number: job for number, job in by_id.items() if number not in strangers}


def runs(data: Any, dinky_task_id: int | None = None) -> tuple[JobInstance, ...]:
    """The job instances in a page, newest first.

    :param dinky_task_id: whose they are to be; None for those of any task.
    """
    return _newest_first(_readable(_page(data), JobInstance), dinky_task_id)


def submits(data: Any, dinky_task_id: int) -> tuple[HistoryEntry, ...]:
    """The submits of a task in a page, newest first."""
    return _newest_first(map(HistoryEntry.model_validate, _page(data)), dinky_task_id)


def savepoints(data: Any, dinky_task_id: int) -> tuple[Savepoint, ...]:
    """The savepoints of a task in a list, newest first."""
    return _newest_first(map(Savepoint.model_validate, as_list(data or [])), dinky_task_id)


def run(data: Any, job_instance_id: int) -> JobInstance:
    """One job instance.

    :raises ValueError: it is another one than was asked for.
    """
    return _asked_for(JobInstance.model_validate(data), lambda found: found.id == job_instance_id)


def newest_run(data: Any, dinky_task_id: int) -> JobInstance | None:
    """The newest job instance of a task; None if it never ran.

    :raises ValueError: it is another task's.
    """
    if data is None:
        return None
    return _asked_for(
        JobInstance.model_validate(data), lambda found: found.dinky_task_id in (None, dinky_task_id)
    )


def detail(data: Any, job_instance_id: int) -> JobInfoDetail:
    """The details of a job instance.

    :raises ValueError: they are of another one than was asked for.
    """
    return _asked_for(JobInfoDetail.model_validate(data), lambda found: found.instance.id == job_instance_id)


def task(data: Any, dinky_task_id: int) -> DinkyTask:
    """A task.

    :raises ValueError: it is another one than was asked for.
    """
    return _asked_for(DinkyTask.model_validate(data), lambda found: found.id == dinky_task_id)


def _asked_for(found: M, is_ours: Callable[[M], bool]) -> M:
    if not is_ours(found):
        raise ValueError("it is not what was asked for")
    return found


def _page(data: Any) -> list[Any]:
    return as_list(as_object(data).get("data") or [])


def _readable(rows: Iterable[Any], model: type[M]) -> list[M]:
    """The rows that can be read: one that cannot must not hide the others, and says why when asked for alone."""
    found = []
    for row in rows:
        with suppress(ValidationError):
            found.append(model.model_validate(row))
    return found


def _newest_first(rows: Iterable[R], dinky_task_id: int | None) -> tuple[R, ...]:
    ours = _left_out(
        rows,
        lambda row: dinky_task_id is None or row.dinky_task_id in (None, dinky_task_id),
        f"Dinky task {dinky_task_id}",
        lambda row: f"{type(row).__name__} {row.id} of Dinky task {row.dinky_task_id}",
    )
    return tuple(sorted(ours, key=lambda row: row.id, reverse=True))


def _left_out(
    rows: Iterable[M], is_ours: Callable[[M], bool], asked: str, named: Callable[[M], str]
) -> list[M]:
    ours: list[M] = []
    strangers: list[M] = []
    for row in rows:
        (ours if is_ours(row) else strangers).append(row)
    if strangers:
        _log_strangers(asked, len(strangers), named(strangers[0]))
    return ours


def _log_strangers(asked: str, count: int, one: str) -> None:
    log.warning(
        "Dinky was asked for %s, and %s of its rows are of something else and left out, such as %s",
        asked,
        count,
        one,
    )
