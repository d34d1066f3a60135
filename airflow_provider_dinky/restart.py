# SPDX-License-Identifier: Apache-2.0
"""Restarting a task's job without ever leaving it down silently.

Two ways. ``steps`` stops the job with a savepoint, waits for its end, and submits from the path. ``endpoint`` is
Dinky's own restartTask, one call in which Dinky takes a savepoint, cancels and submits, for who asks for it: it drops
the variables of the running job, stops the job before it finds out that a given path is bad, and tells an anonymous
caller nothing of the savepoint it took when the new start fails; and its job carries no mark, so that without a task
state store a retry could not tell it from the old one.

Each step is written down before it is taken. A retry reads the last entry, finds out what stands, and goes on from
there; it never acts while an earlier step may still be under way in the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from airflow_provider_dinky.before_clear import BeforeClear
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.java import noted_cause
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.intent import Intent, Step
from airflow_provider_dinky.operations.stop import can_refresh
from airflow_provider_dinky.restart_endpoint import EndpointRestart
from airflow_provider_dinky.savepoints import Taken, take_savepoint

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance

log = logging.getLogger(__name__)

Method = Literal["steps", "endpoint"]
IfUnknown = Literal["fail", "start"]
Prepare = Callable[["JobInstance | None", bool], "str | None"]
FromLastJob = Callable[["JobInstance | None"], "str | None"]


def _nothing_to_prepare(old: JobInstance | None, runs: bool) -> str | None:
    return None


def _without_state(last: JobInstance | None) -> str | None:
    return None


@dataclass
class Restart(EndpointRestart):
    """One restart of a task's job, by one run of an Airflow task.

    :param prepare: called with the task's newest job, and whether it runs, before anything is touched; returns the
        path to resume from, None for a savepoint that is still to be taken; what it raises ends the restart.
    :param from_last_job: called with the task's newest job, which does not run, if there is no path to resume from;
        returns the one of its newest state, None for a start without; what it raises ends the restart.
    :param if_unknown: what to do about a job that Dinky cannot see, and that may run.
    """

    method: Method = "steps"
    prepare: Prepare = _nothing_to_prepare
    from_last_job: FromLastJob = _without_state
    if_unknown: IfUnknown = "fail"

    def run(self) -> SubmitResult:
        """Do it, or go on where an earlier try has died.

        :return: the new job; ``savepoint_path`` is what it was started from.
        :raises DinkyError: nothing was touched, and why.
        :raises DinkyTaskError: says what stands: whether the job runs, and if not, from which path to resume.
        """
        with self._naming_the_path():
            return self._go_on(self._journal.last())

    def _go_on(self, stored: Intent | None) -> SubmitResult:
        if stored is None:
            before_clear = BeforeClear(self.hook, self.starter)
            with before_clear.not_forgotten():
                found = self.starter.find() if self.hook.config.has_credentials else None
                if found is None:
                    before_clear.wait_until_over()
                return found or self._afresh()
        log.info("An earlier try got as far as '%s'; going on from there", stored.step.value)
        if stored.step is Step.RETURNED:
            return self._afresh(stored)
        if stored.step is Step.STOP:
            return self._after_stop(stored)
        if stored.step is Step.STOPPED:
            return self._after_stopped(stored)
        if stored.step is Step.ENDPOINT:
            return self._after_endpoint(stored)
        if stored.step is Step.BACK:
            return self._after_back(stored)
        return self.starter.find() or self._start_again(stored)

    def _afresh(self, after: Intent | None = None) -> SubmitResult:
        """Restart what runs now; ``after`` is the step before, which has left the job running, or seemed to."""
        old, runs = self._newest_now()
        self._check_none_older(old, runs)
        if runs and self.method == "endpoint" and self.variables:
            raise self._error(
                "Dinky's own restart cannot carry variables; use method 'steps'. Nothing was touched"
            )
        path = self.prepare(old, runs)
        if old is None or not runs:
            return self._start_what_does_not_run(old, after, path)
        if self.method == "endpoint":
            return self._restart_by_endpoint(old, path)
        self._variables(old, "Nothing was touched")
        return self._restart_in_steps(old, path)

    def _start_what_does_not_run(
        self, old: JobInstance | None, after: Intent | None, path: str | None
    ) -> SubmitResult:
        tried = after is not None or (self.starter.is_retry and not self._journal.is_kept)
        if tried and old is not None:
            own = self._started_from(old)
            if old.status != JobStatus.FAILED:
                return self._resume_after_unknown_stop(old, after, path, own)
            path = path or own
        before_clear = BeforeClear(self.hook, self.starter)
        if old is not None and not tried:
            stopped = before_clear.stopped(old, path)
            if stopped is not None:
                self._journal.note(stopped)
                return self._submit_or_go_back(stopped, old)
        log.info("Dinky task %s does not run; restart is a start", self._task_id)
        path = path or self.from_last_job(old)
        if path is None and old is not None and not tried:
            before_clear.say_what_to_look_at(old)
        return self._start_from(old, path)

    def _start_from(self, old: JobInstance | None, path: str | None) -> SubmitResult:
        """Start what does not run; one that goes on from the last job's state takes over its variables, too."""
        variables = self.variables
        if variables is None and path and old is not None and self.method != "endpoint":
            variables = self._variables_of(old)
        return self.starter.start(path, variables or {}, old.id if old else 0)

    def _newest_now(self) -> tuple[JobInstance | None, bool]:
        """The task's newest job as it is now, and whether it runs.

        :raises DinkyTaskError: Dinky calls it UNKNOWN, and whether it runs is not known.
        """
        job, config = self.hook.get_latest_job_instance(self._task_id), self.hook.config
        in_sight = job is not None and job.status.is_active and job.status != JobStatus.UNKNOWN
        # What Dinky says lags behind Flink by up to ten seconds.
        if job is not None and in_sight and self.hook.client.run(can_refresh(config, self._task_id)):
            job = self.hook.refresh_job_instance(job.id)
        if job is None or job.status != JobStatus.UNKNOWN:
            return job, job is not None and job.status.is_active
        seen = self._unknown(job)
        if seen.status != JobStatus.UNKNOWN:
            return job.model_copy(update={"status": seen.status}), seen.status.is_active
        cause = noted_cause(seen.error)
        noted = f" ({config.redact(cause)})" if cause else ""
        is_unknown = f"job instance {job.id} is UNKNOWN: {seen.reason}{noted}"
        if seen.is_gone or self.if_unknown == "start":
            as_told = "" if seen.is_gone else "; it counts as ended, as if_unknown='start' says"
            log.warning("Dinky task %s: %s%s", self._task_id, is_unknown, as_told)
            return job, False
        asks = (
            ""
            if config.has_credentials
            else " To have Flink asked whether it knows the job, sign in, or allow Flink REST and give "
            "job_manager_address."
        )
        raise self._error(
            f"{is_unknown}. A new job could be a second one beside it. Nothing was touched. Bring the cluster back and "
            f"retry: once Flink answers that it does not know the job, it counts as ended.{asks} If you know that the "
            "job does not run, if_unknown='start' starts a new one from its newest state"
        )

    # In steps of our own.

    def _restart_in_steps(self, old: JobInstance, path: str | None) -> SubmitResult:
        asked = calls.trigger_savepoint(self._task_id, "stop")
        stop = self._intent(Step.STOP, old, self.hook.client.longest(asked), path)
        self._check_in_place(old)
        self._journal.announce(stop)
        try:
            taken = take_savepoint(
                self.hook,
                self._task_id,
                "stop",
                self.starter.pace,
                known_id=stop.known_savepoint_id,
                job_id=old.job_id,
            )
        except DinkyError as error:
            if not error.outcome_unknown:
                self._journal.note(stop.then(Step.RETURNED))
                raise self._not_stopped(old, error) from error
            log.warning("The answer of the stop with savepoint was lost. %s", error)
            return self._after_stop(stop, error)
        return self._stopped(stop, taken, old)

    def _after_stop(self, stop: Intent, error: DinkyError | None = None) -> SubmitResult:
        """A stop with savepoint was sent, and its answer is not known: find out what became of it."""
        old, unreadable = None, None
        for pause in self.starter.pace.pauses():
            try:
                old = self.hook.refresh_job_instance(stop.baseline)
                taken = self._taken_since(stop, old.job_id)
            except DinkyError as trouble:
                # Whatever keeps Dinky from being asked says nothing about the stop.
                old, taken, unreadable = None, None, trouble
            if old is not None and taken is not None:
                return self._stopped(stop, Taken(taken, old.job_id), old)
            if self.starter.pace.now() >= stop.settled_at or (
                old is not None and old.status.is_final and not self.hook.config.has_credentials
            ):
                break
            self.starter.pace.sleep(pause)
        if old is None:
            raise self._error(
                f"whether job instance {stop.baseline} was stopped with a savepoint is not known, and Dinky cannot be "
                "asked; a retry of this task looks first. If the job does not run, find the savepoint in Dinky under "
                "the task's savepoints, and resume from it",
                unreadable,
            ) from unreadable
        if not old.status.is_final:
            log.info("The stop with savepoint had no effect: job instance %s is %s", old.id, old.status)
            self._journal.note(stop.then(Step.RETURNED))
            return self._afresh(stop)
        raise self._down(old, error)

    def _stopped(self, stop: Intent, taken: Taken, old: JobInstance) -> SubmitResult:
        log.info("Job instance %s stops; its savepoint is %s", old.id, taken.path)
        stopped = stop.then(Step.STOPPED, taken=taken.path, resume_from=stop.resume_from or taken.path)
        self._journal.note(stopped)
        if taken.job_id and old.job_id and taken.job_id != old.job_id:
            stopped = self._stopped_another(stopped, taken)
        return self._after_stopped(stopped)

    def _stopped_another(self, stopped: Intent, taken: Taken) -> Intent:
        """Between our look and our stop somebody else has restarted the job: it is theirs that stops now."""
        newest = self.hook.get_latest_job_instance(self._task_id)
        if newest is None or newest.job_id != taken.job_id:
            raise self._error(
                f"Flink job {taken.job_id} was stopped, which is not the one that was to be restarted, and it is not "
                f"the task's newest by now. No new job was started; the savepoint taken before is {taken.path}"
            )
        log.warning("It was job instance %s that was stopped, started meanwhile by somebody else", newest.id)
        stopped = replace(stopped, baseline=newest.id)
        self._journal.note(stopped)
        return stopped

    def _after_stopped(self, stopped: Intent) -> SubmitResult:
        old, has_ended = self._wait_for_end(stopped.baseline)
        if has_ended:
            return self._submit_or_go_back(stopped, old)
        now = "so no new job was started. Once it has ended, a retry of this task resumes from"
        if old.status == JobStatus.RUNNING and self.starter.pace.now() >= stopped.settled_at:
            # It runs on: what was taken for the savepoint of our stop was none, so the next try stops it again.
            self._journal.note(stopped.then(Step.RETURNED, taken=None, resume_from=None))
            now = "so no new job was started. A retry of this task stops it again, or once it has ended resumes from"
        waited = "" if old.status == JobStatus.UNKNOWN else f" after {self.stop_timeout:g} s"
        raise self._error(
            f"job instance {old.id} was stopped with savepoint {stopped.taken}, but is still {old.status}{waited}, "
            f"{now} {stopped.resume_from}; by hand, resume from {stopped.taken}"
        )

    def _after_back(self, back: Intent) -> SubmitResult:
        way_back = self._way_back(back)
        way_back.journal.note(back.then(Step.SUBMIT, baseline=back.newest or back.baseline))
        if way_back.find() is None:
            return self._start_again(back)
        self._journal.note(back.then(Step.RETURNED))
        return self._afresh(back)

    def _start_again(self, stored: Intent) -> SubmitResult:
        """The new job is not there, or has failed: start it from where it was to start."""
        newest, runs = self._newest_now()
        if runs:
            return self._afresh(stored)
        self._check_none_older(newest, runs)
        old = self.hook.get_job_instance(stored.baseline) if stored.baseline else newest
        if old is None:
            return self._afresh()
        return self._submit_or_go_back(stored, old)

    # What stands.

    def _started_from(self, job: JobInstance) -> str | None:
        """What a job of this run's own was started from; None of a job of somebody else's, or without state."""
        if not self.hook.config.has_credentials:
            return None
        entry = self.hook.client.send(calls.get_job_info_detail(job.id)).history
        ours = self.starter.run_key
        if entry is None or not (entry.run_key == ours or str(entry.run_key).startswith(f"{ours}/")):
            return None
        return entry.savepoint_path

    def _resume_after_unknown_stop(
        self, old: JobInstance, after: Intent | None, path: str | None, own: str | None
    ) -> SubmitResult:
        """An earlier try may have stopped the job, and its savepoint was not kept: resume from it, if it is found."""
        stopped = self._intent(Step.STOPPED, old, 0.0, path)
        before = after or replace(stopped, known_savepoint=None, known_savepoint_id=0)
        taken = self._taken_since(before, old.job_id)
        if taken is None and not path:
            began = f"; job instance {old.id} was started from {own}" if own else ""
            raise self._error(
                f"the task does not run (job instance {old.id} is {old.status}), and an earlier try of this Airflow "
                "task may have stopped it with a savepoint that is not known here. Starting without state could lose "
                f"data: give savepoint_path, or start it with SubmitTaskOperator{began}"
            )
        log.warning(
            "An earlier try has most likely stopped job instance %s; its savepoint: %s", old.id, taken
        )
        return self._submit_or_go_back(replace(stopped, taken=taken, resume_from=path or taken), old)
