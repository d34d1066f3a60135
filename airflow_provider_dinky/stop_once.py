# SPDX-License-Identifier: Apache-2.0
"""Stopping a job with a savepoint once, so that a try that dies afterwards does not lose the savepoint's path."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.followed import look_anew
from airflow_provider_dinky.intent import Intent, Journal, Step
from airflow_provider_dinky.savepoints import Taken, newest_savepoint_id, take_savepoint, taken_since

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.pace import Pace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stopped:
    """A job that stops, or has stopped, with a savepoint.

    :param path: the savepoint.
    """

    path: str
    job_instance_id: int
    job_id: str | None = None


@dataclass
class StopOnce:
    """Stops the newest job of a Dinky task with a savepoint, for one run of an Airflow task.

    :param kind: ``stop`` lets the job end FINISHED, ``cancel`` CANCELED.
    :param is_retry: an earlier try of the same run may have stopped it.
    """

    hook: DinkyHook
    dinky_task_id: int
    kind: Literal["stop", "cancel"]
    run_key: str
    journal: Journal
    is_retry: bool
    pace: Pace

    def run(self, newest: JobInstance | None, *, has_ended: bool) -> Stopped | None:
        """Stop the job, or find the savepoint that an earlier try has stopped it with.

        :param newest: the task's newest job instance; None if it never ran.
        :param has_ended: it has, whatever Dinky calls it.
        :return: the job and its savepoint; None if there was nothing to stop, in this try or an earlier one.
        :raises DinkyError: Dinky refused, or nobody can tell.
        :raises DinkyTaskError: an earlier try may have stopped the job, and its savepoint is not known.
        """
        if newest is None:
            return None
        stored = self.journal.last()
        if stored is not None and stored.step is Step.STOPPED and stored.taken:
            return Stopped(stored.taken, stored.baseline)
        if stored is not None and stored.step is Step.STOP:
            found = self._sent_before(stored)
            if found is not None:
                return found
        elif self.is_retry and not self.journal.is_kept:
            newest = look_anew(self.hook, newest)
            if newest.status.is_final:
                return self._of(newest, 0)
        return None if has_ended or newest.status.is_final else self._stop(newest)

    def _sent_before(self, sent: Intent) -> Stopped | None:
        """An earlier try has sent the stop: its savepoint; None if it had no effect."""
        job = None
        for pause in self.pace.pauses():
            is_over = self.pace.now() >= sent.settled_at
            try:
                job = self.hook.refresh_job_instance(sent.baseline)
                found = taken_since(self.hook, self.dinky_task_id, sent.known_savepoint_id or 0, job.job_id)
            except DinkyError as unreadable:
                if is_over:
                    raise
                log.debug("Dinky cannot be asked yet: %s", unreadable)
            else:
                if found is not None:
                    log.info("An earlier try has stopped job instance %s with savepoint %s", job.id, found)
                    return Stopped(found, job.id, job.job_id)
                if is_over or (job.status.is_final and not self.hook.config.has_credentials):
                    return self._of(job, sent.known_savepoint_id or 0) if job.status.is_final else None
            self.pace.sleep(pause)
        raise AssertionError("pauses never end")

    def _of(self, ended: JobInstance, known_id: int) -> Stopped:
        found = taken_since(self.hook, self.dinky_task_id, known_id, ended.job_id)
        if found is not None and ended.job_id:
            log.info("Job instance %s was stopped with savepoint %s", ended.id, found)
            return Stopped(found, ended.id, ended.job_id)
        raise DinkyTaskError(
            f"connection '{self.hook.dinky_conn_id}': Dinky task {self.dinky_task_id}: job instance {ended.id} is "
            f"{ended.status}, and an earlier try of this Airflow task may have stopped it with a savepoint that is not "
            "known here: find it in Dinky under the task's savepoints. Without one, whoever resumes the job would lose "
            "its state; clear this task if the job was stopped otherwise"
        )

    def _stop(self, newest: JobInstance) -> Stopped:
        asked = calls.trigger_savepoint(self.dinky_task_id, self.kind)
        known_id = newest_savepoint_id(self.hook, self.dinky_task_id)
        stop = Intent(
            self.run_key,
            Step.STOP,
            sent_at=self.pace.now(),
            patience=self.hook.client.longest(asked),
            baseline=newest.id,
            known_savepoint_id=known_id,
        )
        self.journal.announce(stop)
        try:
            taken = take_savepoint(
                self.hook, self.dinky_task_id, self.kind, self.pace, known_id=known_id, job_id=newest.job_id
            )
        except DinkyError as error:
            if not error.outcome_unknown:
                self.journal.note(stop.then(Step.REFUSED))
            raise
        stopped = Stopped(taken.path, newest.id, newest.job_id)
        self.journal.note(stop.then(Step.STOPPED, taken=taken.path))
        log.info("Dinky stops job instance %s; its savepoint is %s", newest.id, taken.path)
        if taken.job_id and newest.job_id and taken.job_id != newest.job_id:
            stopped = self._another(taken, stop)
        return stopped

    def _another(self, taken: Taken, stop: Intent) -> Stopped:
        """Between our look and our stop somebody else has started a job: it is that which stops now."""
        newest = self.hook.get_latest_job_instance(self.dinky_task_id)
        if newest is None or newest.job_id != taken.job_id:
            raise DinkyTaskError(
                f"connection '{self.hook.dinky_conn_id}': Dinky task {self.dinky_task_id}: Flink job {taken.job_id} "
                f"was stopped with savepoint {taken.path}, and it is not the task's newest any more: somebody else "
                "starts the task at the same time"
            )
        log.warning("It was job instance %s that was stopped, started meanwhile by somebody else", newest.id)
        self.journal.note(stop.then(Step.STOPPED, taken=taken.path, baseline=newest.id))
        return Stopped(taken.path, newest.id, newest.job_id)
