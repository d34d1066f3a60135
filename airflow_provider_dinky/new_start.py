# SPDX-License-Identifier: Apache-2.0
"""The second half of a restart: the old job has ended, with a savepoint; start the new one, or go back.

What fails here must not leave the job down: it is started again from the savepoint just taken, and where that fails,
too, the error says from which path to resume.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dinky._compat import AirflowFailException
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError, RivalJobError
from airflow_provider_dinky.followed import FollowedJob, describe_failure, look_anew
from airflow_provider_dinky.intent import Intent, Journal, Step
from airflow_provider_dinky.jobs.next_step import Next
from airflow_provider_dinky.operations.come_up import comes_up
from airflow_provider_dinky.operations.concurrent import older_jobs, still_running
from airflow_provider_dinky.operations.inspect_job import confirm_gone
from airflow_provider_dinky.operations.stop import STATE_LAG, can_refresh, wait_for_end
from airflow_provider_dinky.submission import Starter

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.jobs.gone import UnknownJob

log = logging.getLogger(__name__)

COMES_UP_WITHIN = 120.0
"""Seconds for which a job that was started again, after a failed restart, is watched before that is reported."""


@dataclass
class NewStart:
    """Starts the new job of a restart.

    :param starter: starts it, under the run's mark and journal.
    :param variables: for the new job; None takes over those of the old one, where Dinky shows them.
    :param stop_timeout: seconds a job may take to end.
    :param job_manager_address: ``host:port`` of the job manager, for an anonymous connection.
    """

    hook: DinkyHook
    starter: Starter
    variables: Mapping[str, Any] | None = None
    stop_timeout: float = 180.0
    job_manager_address: str | None = None

    def roll_back(self, job: FollowedJob, failure: Exception) -> NoReturn:
        """The new job was started, and is not good: stop it, and start again from the savepoint taken before.

        :param job: the new job, with ``before`` and ``back_to``.
        :param failure: what is wrong with it.
        :raises DinkyTaskError: always, with what stands now and ``failure``.
        """
        with self._naming_the_path(job.back_to):
            self._roll_back(job, failure)

    def _roll_back(self, job: FollowedJob, failure: Exception) -> NoReturn:
        if job.before is None or job.back_to is None:
            raise self._error(
                f"It was not rolled back: what job instance {job.job_instance_id} has taken the place of is not known "
                f"(instance {job.before or 'none'}, savepoint {job.back_to or 'none'})",
                failure,
            ) from failure
        newest = self.hook.get_latest_job_instance(self._task_id)
        if newest is None or newest.id != job.job_instance_id:
            raise self._error(
                f"It was not rolled back: the task's job instance is {newest.id if newest else 'none'} by now. The "
                f"savepoint taken before is {job.back_to}",
                failure,
            ) from failure
        ended, has_ended = self._end_of(newest)
        if not has_ended:
            raise self._error(
                f"It was not rolled back: job instance {ended.id} is {ended.status}, and a second job beside it would "
                f"do harm. To roll back by hand, stop it and resume from {job.back_to}",
                failure,
            ) from failure
        last = self._journal.last() or Intent(
            self.starter.run_key, Step.STARTED, self.starter.pace.now(), 0.0
        )
        stopped = last.then(Step.STOPPED, baseline=job.before, taken=job.back_to, resume_from=job.back_to)
        self._go_back(stopped, self.hook.get_job_instance(job.before), failure)

    @property
    def _journal(self) -> Journal:
        return self.starter.journal

    @property
    def _task_id(self) -> int:
        return self.starter.dinky_task_id

    def _submit_or_go_back(self, stopped: Intent, old: JobInstance) -> SubmitResult:
        # All that is read is read first: a look that fails is no submit that failed.
        variables, newest = self._variables(old), self._newest_id(stopped, old)
        before = self._journal.last()
        try:
            return self.starter.start(stopped.resume_from, variables, newest, intent=stopped)
        except DinkyError as error:
            last = self._journal.last()
            if last is before or last is None or last.step is not Step.REFUSED:
                # Not sent, or it may be under way: a second job beside it would do harm.
                raise
            self._go_back(stopped, old, error)

    def _go_back(self, stopped: Intent, old: JobInstance, error: Exception) -> NoReturn:
        """The new start failed: start again from the savepoint just taken, and fail all the same."""
        taken = stopped.taken
        if taken is None:
            raise self._down(old, error)
        log.error("The new start failed; starting again from the savepoint just taken, %s. %s", taken, error)
        try:
            variables, newest = self._variables_before(old), self._newest_id(stopped, old)
        except DinkyError as unreadable:
            raise self._error(
                f"Starting again from the savepoint just taken was not tried, since Dinky could not be asked: "
                f"{unreadable}\nThe job of Dinky task {self._task_id} is DOWN; resume it from {taken}",
                error,
            ) from error
        back = stopped.then(
            Step.BACK,
            sent_at=self.starter.pace.now(),
            patience=self._submit_patience(),
            newest=newest,
            job={},
        )
        self._journal.announce(back)
        try:
            job = self._way_back(back).start(taken, variables, newest)
        except DinkyError as again:
            if again.outcome_unknown:
                raise self._error(
                    f"Whether the job was started again from the savepoint just taken is not known: {again}\nIf it "
                    f"does not run, resume it from {taken}",
                    error,
                ) from error
            self._journal.note(stopped.then(Step.REFUSED))
            raise self._error(
                f"Starting again from the savepoint just taken failed too: {again}\nThe job of Dinky task "
                f"{self._task_id} is DOWN; resume it from {taken}",
                error,
            ) from error
        self._journal.note(back.then(Step.RETURNED))
        raise self._error(self._how_it_came_up(job, taken), error) from error

    def _how_it_came_up(self, result: SubmitResult, taken: str) -> str:
        """What became of the job that was started again, which may have the same trouble as the new one."""
        again = f"The job was started again from the savepoint just taken, {taken}: "
        if result.job_instance_id is None:
            return f"{again}Dinky named no job instance; look whether it runs"
        address = result.job_manager_address or self.job_manager_address
        job = FollowedJob(self._task_id, result.job_instance_id, result.job_id, address)
        config, pace = self.hook.config, self.starter.pace
        until = pace.now() + COMES_UP_WITHIN
        try:
            steps = comes_up(config, job, until=until, now=pace.now)
            follower = self.hook.client.run(steps, sleep=pace.sleep)
        except DinkyError as error:
            return f"{again}whether {job} came up is not known: {error}"
        if follower.next is Next.DONE:
            return f"{again}job instance {job.job_instance_id} runs as before the restart"
        if follower.next is Next.FAILED:
            facts = follower.facts()
            why = describe_failure(self.hook, job, facts.status, facts.error, **facts.details())
            return (
                f"{again}that did not help: {why}\nNo job of Dinky task {self._task_id} does its work now. It was "
                "started with the SQL and settings that the task has by now: take back what was changed, and resume it "
                f"from {taken}"
            )
        tasks = "" if follower.tasks is None else " ({} of {} tasks run)".format(*follower.tasks)
        return (
            f"{again}job instance {job.job_instance_id} is {follower.status}{tasks} after {COMES_UP_WITHIN:g} s; look "
            "whether it comes up"
        )

    def _way_back(self, back: Intent) -> Starter:
        # Under another mark, so that a retry does not take it for the restart it is to do, nor for an earlier way back.
        key = f"{self.starter.run_key}/back/{back.sent_at:.3f}"
        return replace(self.starter, run_key=key, journal=Journal(None, key))

    def _end_of(self, job: JobInstance) -> tuple[JobInstance, bool]:
        """Stop our new job, if it is there; returns it as it is then, and whether it has ended."""
        now = self.hook.refresh_job_instance(job.id)
        if now.status.is_final or now.status == JobStatus.UNKNOWN:
            return now, now.status.is_final
        try:
            self.hook.cancel_task(self._task_id)
        except DinkyError as error:
            log.warning("Whether job instance %s was cancelled is not known: %s", job.id, error)
        return self._wait_for_end(job.id)

    def _wait_for_end(self, job_instance_id: int) -> tuple[JobInstance, bool]:
        """Wait until a job that was asked to stop has ended: what it is then, and whether it has.

        :raises DinkyError: Dinky cannot be asked.
        """
        pace, config = self.starter.pace, self.hook.config
        job = self.hook.get_job_instance(job_instance_id)
        steps = wait_for_end(
            config,
            FollowedJob(self._task_id, job.id, job.job_id, self.job_manager_address),
            refresh=self.hook.client.run(can_refresh(config, self._task_id)),
            until=pace.now() + self.stop_timeout,
            now=pace.now,
        )
        end = self.hook.client.run(steps, sleep=pace.sleep)
        if end.status is None and end.error is not None:
            raise end.error
        job = job.model_copy(update={"status": end.status or job.status})
        return job, end.has_ended or (end.is_unknown and self._is_gone(job))

    def _is_gone(self, job: JobInstance) -> bool:
        """Whether Flink does not know an UNKNOWN job any more, so that it has ended."""
        seen = self._unknown(job)
        return seen.is_gone or seen.status.is_final

    def _unknown(self, job: JobInstance) -> UnknownJob:
        steps = confirm_gone(self.hook.config, job.id, job.job_id, self.job_manager_address)
        return self.hook.client.run(steps, sleep=self.starter.pace.sleep)

    def _not_stopped(self, old: JobInstance, error: DinkyError) -> DinkyTaskError:
        """Dinky refused to stop the job: because it could not, or because there was none to stop any more."""
        pace = self.starter.pace
        deadline = pace.now() + (0.0 if self.hook.config.has_credentials else STATE_LAG)
        for pause in pace.pauses():
            try:
                old = self.hook.refresh_job_instance(old.id)
            except DinkyError as unreadable:
                log.debug("Dinky cannot be asked: %s", unreadable)
            if old.status.is_final:
                return self._down(old, error)
            if pace.now() >= deadline:
                break
            pace.sleep(min(pause, max(0.05, deadline - pace.now())))
        return self._error(f"Job instance {old.id} is {old.status} and was not touched", error)

    def _newest_id(self, stopped: Intent, old: JobInstance) -> int:
        """Id of the task's newest job instance, which is to be there before the submit.

        :raises RivalJobError: somebody else has started a job since the old one was stopped.
        """
        newest = self.hook.get_latest_job_instance(self._task_id)
        if newest is None or newest.id == old.id:
            return old.id
        newest = look_anew(self.hook, newest)
        if newest.status.is_active:
            error = self._error(
                f"job instance {newest.id}, {newest.status}, was started by somebody else since job instance "
                f"{old.id} has ended, so no job was started beside it. The savepoint taken before is {stopped.taken}"
            )
            raise RivalJobError(str(error))
        return newest.id

    def _check_none_older(self, newest: JobInstance | None, runs: bool) -> None:
        """A start would be beside a job that runs, though a later one has ended; and Dinky stops only the newest.

        :raises DinkyTaskError: there is such a job.
        """
        if newest is None or runs:
            return
        config, run, sleep = self.hook.config, self.hook.client.run, self.starter.pace.sleep
        found = run(older_jobs(config, self._task_id, newest, self.job_manager_address), sleep=sleep)
        running = found.running
        if running and not config.has_credentials:
            running = run(still_running(running), sleep=sleep)
        if found.not_visible:
            log.info("Not looked at, as they are not visible here: %s", found.not_visible)
        for older in running:
            raise self._error(
                f"{older} is {older.status}, though job instance {newest.id}, which was started after "
                f"it, is {newest.status}: two were started at once, and the later one has given way. Dinky stops only "
                "the newest, so this one cannot be restarted, and a start would be beside it. Nothing was touched; "
                "stop it with CancelTaskOperator, or in Flink"
            )

    def _variables(self, old: JobInstance, so_far: str = "") -> Mapping[str, Any]:
        """The variables of the new job.

        :param so_far: what was done, for the error.
        :raises DinkyTaskError: those of the old job are to be taken over, and Dinky does not know them any more.
        """
        if self.variables is not None:
            return self.variables
        variables = self._variables_of(old)
        if variables is None:
            raise self._error(
                f"the variables that job instance {old.id} was started with are not known to Dinky any more, and a new "
                "job without them could fail, or do something else: give variables ({} for none). " + so_far
            )
        return variables

    def _variables_before(self, old: JobInstance) -> Mapping[str, Any]:
        """The variables for the way back: those of the old job, else those for the new one."""
        shown = self._variables_of(old) if self.hook.config.has_credentials else None
        return (self.variables or {}) if shown is None else shown

    def _variables_of(self, old: JobInstance) -> Mapping[str, Any] | None:
        """The variables a job was started with: none where Dinky does not show them, None where it lost them."""
        if not self.hook.config.has_credentials:
            return {}
        entry = self.hook.client.send(calls.get_job_info_detail(old.id)).history
        return entry.variables if entry is not None and entry.settings is not None else None

    @contextmanager
    def _naming_the_path(self, path: str | None = None) -> Iterator[None]:
        """Whatever goes wrong once the old job was stopped, the error says from which savepoint to resume.

        :param path: the savepoint; None for what is written down.
        """
        try:
            yield
        except Exception as error:
            last = self._journal.last()
            if path is None and last is not None and last.step not in (Step.RETURNED, Step.STARTED):
                path = last.taken
            if path is None or path in str(error):
                raise
            text = self._error(
                f"The job was stopped with savepoint {path}; if none of Dinky task {self._task_id} runs, resume it "
                "from that. A retry of this task looks first",
                error,
            )
            is_final = isinstance(error, AirflowFailException)
            raise (type(error)(str(text)) if is_final else text) from error

    def _submit_patience(self) -> float:
        return self.hook.client.longest(calls.submit_task(self._task_id))

    def _down(self, old: JobInstance, error: Exception | None) -> DinkyTaskError:
        return self._error(
            f"The job of Dinky task {self._task_id} is DOWN (job instance {old.id} is {old.status}), and the savepoint "
            "taken before it was stopped, if any, is not known here: find it in Dinky under the task's savepoints, and "
            "resume from it with SubmitTaskOperator(savepoint_path=...)",
            error,
        )

    def _error(self, what: str, error: Exception | None = None) -> DinkyTaskError:
        if error is not None:
            return DinkyTaskError(f"{error}\n{what}")
        return DinkyTaskError(
            f"connection '{self.hook.dinky_conn_id}': restart of Dinky task {self._task_id}: {what}"
        )
