# SPDX-License-Identifier: Apache-2.0
"""Starting a job once: what to do when the answer of a submit is lost.

A submit is never sent again. Dinky carries it out whether or not somebody waits for the answer, up to many
seconds later, so the job is looked for as long as a submit may take: by our mark in Dinky's history when signed
in, which proves it; else by an instance of the task newer than the one before, which is an inference.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.errors import (
    AmbiguousSubmitError,
    DinkyConnectionError,
    DinkyError,
    DinkyRefusedError,
)
from airflow_provider_dinky.client.models import RUN_KEY_VARIABLE, HistoryEntry, JobInstance, SubmitResult

log = logging.getLogger(__name__)

IN_FLIGHT, FAILED = (0, 1), (3, 4)
"""Dinky's states of a submit in its history: starting or running; failed or cancelled."""


@dataclass(frozen=True)
class Submission:
    """One start of a task's job.

    :param run_key: the mark that proves the submit to be ours.
    :param baseline: id of the task's newest job instance before the submit; 0 for none.
    """

    dinky_task_id: int
    run_key: str
    savepoint_path: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    baseline: int = 0


def submit_once(
    client: DinkyClient,
    submission: Submission,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> SubmitResult:
    """Send the submit, once, and find its job even if the answer is lost.

    :raises DinkyRefusedError: Dinky refused it or failed to start the job; nothing runs.
    :raises AmbiguousSubmitError: the answer was lost and no job was found; one may still appear.
    """
    call = calls.submit_task(
        submission.dinky_task_id,
        submission.savepoint_path,
        {**submission.variables, RUN_KEY_VARIABLE: submission.run_key},
    )
    try:
        return client.send(call)
    except DinkyError as error:
        if not error.outcome_unknown:
            raise
        log.warning("The answer of the submit was lost; looking for its job. %s", error)
        deadline = clock() + client.config.submit_timeout
        pauses = _pauses()
        while True:
            try:
                found = find_submitted(client, submission)
            except DinkyConnectionError as unreachable:
                log.debug("Dinky cannot be asked yet: %s", unreachable)
                found = None
            if found is not None:
                return found
            if clock() >= deadline:
                raise _ambiguous(client, submission, error) from error
            sleep(next(pauses))


def await_submitted(
    client: DinkyClient,
    submission: Submission,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> SubmitResult | None:
    """The job of an earlier submit with the same mark, waited for while it is on its way; signed in only.

    :return: None if nothing was submitted with that mark, or the submit failed.
    """
    deadline = clock() + client.config.submit_timeout
    pauses = _pauses()
    while True:
        entry = find_by_key(client, submission.dinky_task_id, submission.run_key)
        if entry is None or entry.status in FAILED:
            return None
        instance = None if entry.status in IN_FLIGHT else instance_of(client, entry)
        if instance is not None:
            return _result(instance, entry)
        if clock() >= deadline:
            raise AmbiguousSubmitError(
                f"connection '{client.config.name}' ({client.config.base_url}): an earlier try has submitted Dinky "
                f"task {submission.dinky_task_id}, and after {client.config.submit_timeout:g} s Dinky's history (id "
                f"{entry.id}) still says that it is on its way. It was not submitted again; look into Dinky"
            )
        log.info("A submit of an earlier try is still on its way in Dinky (history id %s)", entry.id)
        sleep(next(pauses))


def find_submitted(client: DinkyClient, submission: Submission) -> SubmitResult | None:
    """What became of a submit that was sent: its job, or None while there is no sign of it.

    :raises DinkyRefusedError: Dinky's history says that it failed.
    """
    if client.config.has_credentials:
        return _find_by_key(client, submission)
    newest = client.send(calls.get_latest_job_instance(submission.dinky_task_id))
    if newest is None or newest.id <= submission.baseline:
        return None
    log.warning(
        "Taking job instance %s of Dinky task %s for the one just submitted, because it is newer than instance "
        "%s. Sign in to Dinky to have this proved instead of inferred.",
        newest.id,
        submission.dinky_task_id,
        submission.baseline or "none",
    )
    return _result(newest, None)


def find_by_key(client: DinkyClient, dinky_task_id: int, run_key: str) -> HistoryEntry | None:
    """The newest submit in Dinky's history that carries our mark; needs a signed-in user."""
    history = client.send(calls.list_history(dinky_task_id))
    return next((entry for entry in history if entry.run_key == run_key), None)


def instance_of(client: DinkyClient, entry: HistoryEntry) -> JobInstance | None:
    """The job instance that came out of a submit; None while Dinky has not made one."""
    if entry.dinky_task_id is None:
        return None
    newest = client.send(calls.get_latest_job_instance(entry.dinky_task_id))
    if newest is not None and (
        newest.history_id == entry.id or (entry.job_id and newest.job_id == entry.job_id)
    ):
        return newest
    if not entry.job_id:
        return None
    earlier = client.send(calls.list_job_instances_of_task(entry.dinky_task_id))
    return next((instance for instance in earlier if instance.job_id == entry.job_id), None)


def _pauses() -> Iterator[float]:
    """Seconds between two looks for a job: soon at first, since most are there at once, then every 5."""
    return chain((0.1, 0.25, 0.5, 1.0, 2.0), repeat(5.0))


def _find_by_key(client: DinkyClient, submission: Submission) -> SubmitResult | None:
    entry = find_by_key(client, submission.dinky_task_id, submission.run_key)
    if entry is None or entry.status in IN_FLIGHT:
        return None
    if entry.status in FAILED:
        reason = client.config.redact(entry.error or "no reason given")
        raise DinkyRefusedError(
            f"connection '{client.config.name}' ({client.config.base_url}): submit of Dinky task "
            f"{submission.dinky_task_id}: Dinky's history says: {reason}",
            code=5,
            reason=reason,
        )
    instance = instance_of(client, entry)
    return None if instance is None else _result(instance, entry)


def _result(instance: JobInstance, entry: HistoryEntry | None) -> SubmitResult:
    return SubmitResult(
        id=instance.history_id,
        job_instance_id=instance.id,
        job_id=instance.job_id,
        job_manager_address=entry.job_manager_address if entry else None,
        job_config=entry.config_json if entry else None,
        success=True,
    )


def _ambiguous(client: DinkyClient, submission: Submission, error: DinkyError) -> AmbiguousSubmitError:
    config = client.config
    sign = (
        f"mark {RUN_KEY_VARIABLE}={submission.run_key!r} in the task's history"
        if config.has_credentials
        else f"job instance of the task newer than {submission.baseline or 'none'}"
    )
    path = f" It was to resume from {submission.savepoint_path}." if submission.savepoint_path else ""
    return AmbiguousSubmitError(
        f"connection '{config.name}' ({config.base_url}): submit of Dinky task {submission.dinky_task_id}: the "
        f"answer was lost and within {config.submit_timeout:g} s no sign of its job was found (no {sign}). It was "
        f"not sent again. Look into Dinky whether a job of the task runs before you start one.{path} "
        f"What happened: {error}"
    )
