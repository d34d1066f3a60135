# SPDX-License-Identifier: Apache-2.0
"""Restarting a task's job without ever leaving it down silently.

Two ways. ``endpoint`` is Dinky's own restartTask, one call in which Dinky takes a savepoint, cancels and submits.
``steps`` does the same in steps of our own: stop with savepoint, wait for the end, submit from its path. Dinky's
call drops the variables of the running job, stops the job before it finds out that a given path is bad, and tells
an anonymous caller nothing of the savepoint it took when the new start fails; and its job carries no mark, so that
without a task state store a retry could not tell it from the old one. Where one of these matters, ``auto`` takes the
steps.

Each step is written down before it is taken. A retry reads the last entry, finds out what stands, and goes on from
there; it never acts while an earlier step may still be under way in the server.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import AmbiguousSubmitError, DinkyError
from airflow_provider_dinky.client.job_config import JobConfig
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.intent import Intent, Journal, Step
from airflow_provider_dinky.savepoints import is_savepoint_of, newest_savepoint, take_savepoint
from airflow_provider_dinky.submission import Starter

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook

log = logging.getLogger(__name__)

Method = Literal["auto", "endpoint", "steps"]


@dataclass
class Restart:
    """One restart of a task's job, by one run of an Airflow task.

    :param starter: starts the new job, under the run's mark and journal.
    :param savepoint_path: savepoint to resume from; None takes a new one.
    :param variables: for the new job; None takes over those of the running one, where Dinky shows them.
    :param stop_timeout: seconds the old job may take to end.
    """

    hook: DinkyHook
    starter: Starter
    savepoint_path: str | None = None
    variables: Mapping[str, Any] | None = None
    method: Method = "auto"
    stop_timeout: float = 180.0

    def run(self) -> SubmitResult:
        """Do it, or go on where an earlier try has died.

        :return: the new job; ``savepoint_path`` is what it was started from.
        :raises DinkyError: nothing was touched, and why.
        :raises DinkyTaskError: says what stands: whether the job runs, and if not, from which path to resume.
        """
        stored = self._journal.last()
        if stored is None:
            found = self.starter.find() if self.hook.config.has_credentials else None
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

    @property
    def _journal(self) -> Journal:
        return self.starter.journal

    @property
    def _task_id(self) -> int:
        return self.starter.dinky_task_id

    def _afresh(self, after: Intent | None = None) -> SubmitResult:
        """Restart what runs now; ``after`` is the step before, which has left the job running, or seemed to."""
        old = self._in_sight(self.hook.get_latest_job_instance(self._task_id))
        if old is None or old.status.is_final:
            tried = after is not None or (self.starter.is_retry and not self._journal.is_kept)
            if tried and old is not None and old.status != JobStatus.FAILED:
                return self._resume_after_unknown_stop(old, after)
            log.info("Dinky task %s does not run; restart is a plain start", self._task_id)
            return self.starter.start(self.savepoint_path, self.variables or {}, old.id if old else 0)
        variables = self._variables(old)
        if self._by_endpoint(variables):
            return self._restart_by_endpoint(old)
        return self._restart_in_steps(old)

    def _in_sight(self, job: JobInstance | None) -> JobInstance | None:
        if job is not None and job.status.is_active and self.hook.config.has_credentials:
            # What Dinky says lags behind Flink by up to ten seconds, and UNKNOWN stays until somebody asks.
            job = self.hook.refresh_job_instance(job.id)
        if job is not None and job.status == JobStatus.UNKNOWN:
            raise self._error(
                f"Dinky lost sight of job instance {job.id}, which may still be running; a restart would start a "
                "second job beside it, without state. Nothing was touched. Check the job's Flink cluster; signed in, "
                "Dinky can be made to look again"
            )
        return job

    def _by_endpoint(self, variables: Mapping[str, Any]) -> bool:
        if self.method == "endpoint" and self.variables:
            raise self._error(
                "Dinky's own restart cannot carry variables; use method 'steps' or 'auto'. Nothing was touched"
            )
        if self.method != "auto":
            return self.method == "endpoint"
        provable = self.hook.config.has_credentials and self._journal.is_kept
        return provable and not variables and not self.savepoint_path

    # In steps of our own.

    def _restart_in_steps(self, old: JobInstance) -> SubmitResult:
        asked = calls.trigger_savepoint(self._task_id, "stop")
        stop = self._intent(Step.STOP, old, patience=self.hook.client.longest(asked))
        self._journal.announce(stop)
        try:
            taken = take_savepoint(self.hook, self._task_id, "stop", self.starter.pace)
        except DinkyError as error:
            if not error.outcome_unknown:
                self._journal.note(stop.then(Step.RETURNED))
                raise
            log.warning("The answer of the stop with savepoint was lost. %s", error)
            return self._after_stop(stop, error)
        return self._stopped(stop, taken)

    def _after_stop(self, stop: Intent, error: DinkyError | None = None) -> SubmitResult:
        """A stop with savepoint was sent, and its answer is not known: find out what became of it."""
        for pause in self.starter.pace.pauses():
            old = self.hook.refresh_job_instance(stop.baseline)
            taken = self._taken_since(stop)
            if taken is not None:
                return self._stopped(stop, taken)
            if self.starter.pace.now() >= stop.settled_at or (
                old.status.is_final and not self.hook.config.has_credentials
            ):
                break
            self.starter.pace.sleep(pause)
        if not old.status.is_final:
            log.info("The stop with savepoint had no effect: job instance %s is %s", old.id, old.status)
            self._journal.note(stop.then(Step.RETURNED))
            return self._afresh(stop)
        raise self._down(old, error)

    def _stopped(self, stop: Intent, taken: str) -> SubmitResult:
        log.info("Job instance %s stops; its savepoint is %s", stop.baseline, taken)
        stopped = stop.then(Step.STOPPED, taken=taken, resume_from=self.savepoint_path or taken)
        self._journal.note(stopped)
        return self._after_stopped(stopped)

    def _after_stopped(self, stopped: Intent) -> SubmitResult:
        old = self._wait_for_end(stopped.baseline)
        if not old.status.is_final:
            raise self._error(
                f"job instance {old.id} was stopped with savepoint {stopped.taken}, but is still {old.status} after "
                f"{self.stop_timeout:g} s, so no new job was started. Once it has ended, a retry of this task resumes "
                f"from {stopped.resume_from}; by hand, resume from {stopped.taken}"
            )
        return self._submit_or_go_back(stopped, old)

    # By Dinky's own call.

    def _restart_by_endpoint(self, old: JobInstance) -> SubmitResult:
        asked = calls.restart_task(self._task_id, self.savepoint_path)
        sent = self._intent(Step.ENDPOINT, old, patience=self.hook.client.longest(asked))
        self._journal.announce(sent)
        try:
            result = self.hook.restart_task(self._task_id, self.savepoint_path)
        except DinkyError as error:
            if error.outcome_unknown:
                log.warning("The answer of the restart was lost; looking for what became of it. %s", error)
                return self._after_endpoint(sent, error)
            return self._endpoint_failed(sent, error)
        return self._restarted(sent, result, told=True)

    def _restarted(self, sent: Intent, result: SubmitResult, *, told: bool) -> SubmitResult:
        """Note the job of Dinky's restart, and fail if it lost its state.

        :param told: whether ``result`` would name the savepoint, had Dinky taken one.
        """
        stateless = not result.savepoint_path and result.job_instance_id is not None
        error = self._error(
            "Dinky restarted the job WITHOUT its state: it took no savepoint. Job instance "
            f"{result.job_instance_id} runs. Method 'steps' touches nothing when a savepoint fails"
        )
        if stateless and told:
            log.error("%s", error)
        elif stateless:
            log.warning("Whether the job resumed from a savepoint is not known; sign in to be told")
        self._note_started(sent, result)
        if stateless and told:
            raise error
        return result

    def _after_endpoint(self, sent: Intent, error: DinkyError | None = None) -> SubmitResult:
        """Dinky's restart was sent, and its answer is not known: find out what became of it."""
        for pause in self.starter.pace.pauses():
            newest = self.hook.get_latest_job_instance(self._task_id)
            if newest is not None and newest.id > sent.baseline:
                log.warning("Job instance %s is there; taking it for the restarted one", newest.id)
                path = sent.resume_from or self._taken_since(sent)
                result = SubmitResult(
                    id=newest.history_id, job_instance_id=newest.id, job_id=newest.job_id, success=True
                ).model_copy(update={"job_config": JobConfig(save_point_path=path)})
                return self._restarted(sent, result, told=self.hook.config.has_credentials)
            if self.starter.pace.now() >= sent.settled_at:
                break
            self.starter.pace.sleep(pause)
        old = self.hook.refresh_job_instance(sent.baseline)
        if not old.status.is_final:
            log.info("The restart had no effect: job instance %s is %s", old.id, old.status)
            self._journal.note(sent.then(Step.RETURNED))
            return self._afresh(sent)
        return self._submit_or_go_back(self._stopped_by_endpoint(sent, old, error), old)

    def _endpoint_failed(self, sent: Intent, error: DinkyError) -> SubmitResult:
        old = self._wait_for_end(sent.baseline)
        if not old.status.is_final:
            self._journal.note(sent.then(Step.RETURNED))
            raise self._error(
                f"Job instance {old.id} is {old.status}; no new job was started", error
            ) from error
        return self._go_back(self._stopped_by_endpoint(sent, old, error), old, error)

    def _stopped_by_endpoint(self, sent: Intent, old: JobInstance, error: DinkyError | None) -> Intent:
        taken = self._taken_since(sent)
        if taken is None:
            raise self._down(old, error)
        return sent.then(Step.STOPPED, taken=taken, resume_from=taken)

    # The new start, and the way back.

    def _submit_or_go_back(self, stopped: Intent, old: JobInstance) -> SubmitResult:
        try:
            return self.starter.start(
                stopped.resume_from, self._variables(old), self._newest_id(), intent=stopped
            )
        except AmbiguousSubmitError as error:
            raise self._error(f"The savepoint taken before is {stopped.taken}", error) from error
        except DinkyError as error:
            return self._go_back(stopped, old, error)

    def _go_back(self, stopped: Intent, old: JobInstance, error: DinkyError) -> SubmitResult:
        """The new start failed: start again from the savepoint just taken, and fail all the same."""
        taken = stopped.taken
        if taken is None:
            raise self._down(old, error)
        log.error("The new start failed; starting again from the savepoint just taken, %s. %s", taken, error)
        back = stopped.then(
            Step.BACK, sent_at=self.starter.pace.now(), patience=self._submit_patience(), job={}
        )
        self._journal.announce(back)
        try:
            # Under another mark: a retry must not take the way back for the restart it is to do.
            job = self._way_back().start(
                taken, self._variables_of(old, self.variables or {}), self._newest_id()
            )
        except DinkyError as again:
            if not again.outcome_unknown:
                self._journal.note(stopped.then(Step.REFUSED))
            raise self._error(
                f"Starting again from the savepoint just taken failed too: {again}\nThe job of Dinky task "
                f"{self._task_id} is DOWN; resume it from {taken}",
                error,
            ) from error
        self._journal.note(back.then(Step.RETURNED))
        raise self._error(
            f"The job was started again from the savepoint just taken, {taken}: job instance "
            f"{job.job_instance_id} runs as before the restart",
            error,
        ) from error

    def _after_back(self, back: Intent) -> SubmitResult:
        way_back = self._way_back()
        way_back.journal.note(back.then(Step.SUBMIT))
        if way_back.find() is None:
            return self._start_again(back)
        self._journal.note(back.then(Step.RETURNED))
        return self._afresh(back)

    def _start_again(self, stored: Intent) -> SubmitResult:
        """The new job is not there, or has failed: start it from where it was to start."""
        newest = self._in_sight(self.hook.get_latest_job_instance(self._task_id))
        if newest is not None and newest.status.is_active:
            return self._afresh(stored)
        old = self.hook.get_job_instance(stored.baseline) if stored.baseline else newest
        if old is None:
            return self._afresh()
        return self._submit_or_go_back(stored, old)

    def _way_back(self) -> Starter:
        key = f"{self.starter.run_key}/back"
        return replace(self.starter, run_key=key, journal=Journal(None, key))

    # What stands.

    def _wait_for_end(self, job_instance_id: int) -> JobInstance:
        pace = self.starter.pace
        deadline = pace.now() + self.stop_timeout
        for pause in pace.pauses():
            job = self.hook.refresh_job_instance(job_instance_id)
            if job.status.is_final or pace.now() >= deadline:
                return job
            pace.sleep(min(pause, max(0.05, deadline - pace.now())))
        raise AssertionError("pauses never end")

    def _newest_id(self) -> int:
        newest = self.hook.get_latest_job_instance(self._task_id)
        return newest.id if newest else 0

    def _variables(self, old: JobInstance) -> Mapping[str, Any]:
        return self.variables if self.variables is not None else self._variables_of(old, {})

    def _variables_of(self, old: JobInstance, otherwise: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables a job was started with, where Dinky shows them."""
        if not self.hook.config.has_credentials:
            return otherwise
        history = self.hook.client.send(calls.list_history(self._task_id, limit=50))
        return next((entry.variables for entry in history if entry.id == old.history_id), otherwise)

    def _taken_since(self, sent: Intent) -> str | None:
        path = newest_savepoint(self.hook, self._task_id)
        return path if path != sent.known_savepoint else None

    def _resume_after_unknown_stop(self, old: JobInstance, after: Intent | None) -> SubmitResult:
        """An earlier try may have stopped the job, and its savepoint was not kept: resume from it, if it is found."""
        stopped = self._intent(Step.STOPPED, old, patience=0.0)
        taken = self._taken_since(after or replace(stopped, known_savepoint=None))
        if taken and not is_savepoint_of(taken, old.job_id):
            taken = None
        if taken is None and not self.savepoint_path:
            raise self._error(
                f"the task does not run (job instance {old.id} is {old.status}), and an earlier try of this Airflow "
                "task may have stopped it with a savepoint that is not known here. Starting without state could lose "
                "data: give savepoint_path, or start it with SubmitTaskOperator"
            )
        log.warning(
            "An earlier try has most likely stopped job instance %s; its savepoint: %s", old.id, taken
        )
        return self._submit_or_go_back(
            replace(stopped, taken=taken, resume_from=self.savepoint_path or taken), old
        )

    def _submit_patience(self) -> float:
        return self.hook.client.longest(calls.submit_task(self._task_id))

    def _intent(self, step: Step, old: JobInstance, patience: float) -> Intent:
        return Intent(
            self.starter.run_key,
            step,
            sent_at=self.starter.pace.now(),
            patience=patience,
            baseline=old.id,
            resume_from=self.savepoint_path,
            known_savepoint=newest_savepoint(self.hook, self._task_id),
        )

    def _note_started(self, sent: Intent, result: SubmitResult) -> None:
        if result.job_instance_id is None:
            return
        job = FollowedJob(
            self._task_id, result.job_instance_id, result.job_id, result.job_manager_address, started=True
        )
        path = result.savepoint_path
        self._journal.note(sent.then(Step.STARTED, job=job.to_dict(), resume_from=path, taken=path))

    def _down(self, old: JobInstance, error: DinkyError | None) -> DinkyTaskError:
        return self._error(
            f"The job of Dinky task {self._task_id} is DOWN (job instance {old.id} is {old.status}), and the savepoint "
            "taken before it was stopped, if any, is not known here: find it in Dinky under the task's savepoints, and "
            "resume from it with SubmitTaskOperator(savepoint_path=...)",
            error,
        )

    def _error(self, what: str, error: DinkyError | None = None) -> DinkyTaskError:
        if error is not None:
            return DinkyTaskError(f"{error}\n{what}")
        return DinkyTaskError(
            f"connection '{self.hook.dinky_conn_id}': restart of Dinky task {self._task_id}: {what}"
        )
