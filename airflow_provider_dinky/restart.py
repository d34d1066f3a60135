# SPDX-License-Identifier: Apache-2.0
"""Restarting a task's job without ever leaving it down silently.

Two ways. ``endpoint`` is Dinky's own restartTask, one call in which Dinky takes a savepoint, cancels and submits.
``steps`` does the same in steps of our own: stop with savepoint, wait for the end, submit from its path. Dinky's
call drops the variables of the running job, stops the job before it finds out that a given path is bad, and tells
an anonymous caller nothing of the savepoint it took when the new start fails; where one of these matters, ``auto``
takes the steps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import AmbiguousSubmitError, DinkyError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.savepoints import newest_savepoint, take_savepoint
from airflow_provider_dinky.submission import Submission, submit_once

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance, SubmitResult
    from airflow_provider_dinky.hooks.dinky import DinkyHook

log = logging.getLogger(__name__)

Method = Literal["auto", "endpoint", "steps"]
METHODS: tuple[Method, ...] = ("auto", "endpoint", "steps")


@dataclass(frozen=True)
class Restart:
    """One restart of a task's job.

    :param variables: for the new job; None takes over those of the running one, where Dinky shows them.
    :param stop_timeout: seconds the old job may take to end.
    """

    hook: DinkyHook
    dinky_task_id: int
    run_key: str
    savepoint_path: str | None = None
    variables: Mapping[str, Any] | None = None
    method: Method = "auto"
    stop_timeout: float = 180.0
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> SubmitResult:
        """Do it.

        :return: the new job; ``savepoint_path`` is what it was started from.
        :raises DinkyError: nothing was touched, and why.
        :raises DinkyTaskError: the new start failed; says whether the job runs again, and from which path to resume.
        """
        old = self._look()
        if old is None or old.status.is_final:
            log.info("Dinky task %s does not run; restart is a plain start", self.dinky_task_id)
            return self._submit(self.savepoint_path, self.variables or {}, old)
        variables = self._variables(old)
        if self._by_endpoint(variables):
            return self._restart_by_endpoint(old, variables)
        return self._restart_in_steps(old, variables)

    def _look(self) -> JobInstance | None:
        job = self.hook.get_latest_job_instance(self.dinky_task_id)
        if job is not None and job.status in (JobStatus.UNKNOWN, JobStatus.RECONNECTING):
            job = self.hook.refresh_job_instance(job.id)
        if job is not None and job.status == JobStatus.UNKNOWN:
            raise DinkyTaskError(
                f"connection '{self.hook.dinky_conn_id}': restart of Dinky task {self.dinky_task_id}: Dinky lost "
                f"sight of job instance {job.id}, which may still be running; a restart would start a second job "
                "beside it, without state. Nothing was touched. Check the job's Flink cluster; signed in, Dinky "
                "can be made to look again"
            )
        return job

    def _variables(self, old: JobInstance) -> Mapping[str, Any]:
        if self.variables is not None:
            return self.variables
        if not self.hook.config.has_credentials:
            return {}
        history = self.hook.client.send(calls.list_history(self.dinky_task_id))
        entry = next((entry for entry in history if entry.id == old.history_id), None)
        taken_over = entry.variables if entry else {}
        if taken_over:
            log.info("Taking over the variables of the running job: %s", ", ".join(taken_over))
        return taken_over

    def _by_endpoint(self, variables: Mapping[str, Any]) -> bool:
        if self.method == "endpoint" and self.variables:
            raise DinkyTaskError(
                f"connection '{self.hook.dinky_conn_id}': restart of Dinky task {self.dinky_task_id}: Dinky's own "
                "restart cannot carry variables; use method 'steps' or 'auto'. Nothing was touched"
            )
        if self.method != "auto":
            return self.method == "endpoint"
        return self.hook.config.has_credentials and not variables and not self.savepoint_path

    def _restart_in_steps(self, old: JobInstance, variables: Mapping[str, Any]) -> SubmitResult:
        taken = self._stop_with_savepoint(old)
        log.info("Job instance %s is stopping; its savepoint is %s", old.id, taken)
        ended = self._wait_for_end(old)
        if not ended.status.is_final:
            raise DinkyTaskError(
                f"connection '{self.hook.dinky_conn_id}': restart of Dinky task {self.dinky_task_id}: job instance "
                f"{old.id} was stopped with savepoint {taken}, but is still {ended.status} after "
                f"{self.stop_timeout:g} s, so no new job was started. Once it has ended, resume from {taken}"
            )
        return self._submit_or_go_back(self.savepoint_path or taken, variables, ended, back_to=taken)

    def _stop_with_savepoint(self, old: JobInstance) -> str:
        try:
            return take_savepoint(self.hook, self.dinky_task_id, "stop", sleep=self.sleep)
        except DinkyError as error:
            if not error.outcome_unknown:
                raise
            now = self._wait_for_end(old)
            stands = (
                f"has ended ({now.status}), so the task is DOWN. Find its savepoint in Dinky, and resume from it "
                "with SubmitTaskOperator(savepoint_path=...)"
                if now.status.is_final
                else f"is {now.status}; the savepoint may still be under way, so none was asked for again"
            )
            raise DinkyTaskError(
                f"{error}\nNo new job was started. Job instance {old.id} {stands}"
            ) from error

    def _restart_by_endpoint(self, old: JobInstance, variables: Mapping[str, Any]) -> SubmitResult:
        known = newest_savepoint(self.hook, self.dinky_task_id)
        try:
            return self.hook.restart_task(self.dinky_task_id, self.savepoint_path)
        except DinkyError as error:
            newer = self._job_after(old, error)
            if newer is not None:
                log.warning(
                    "The answer of the restart was lost, but its job is there: %s. %s", newer.id, error
                )
                return _as_result(newer)
            ended = self._wait_for_end(old)
            if not ended.status.is_final:
                raise DinkyTaskError(
                    f"{error}\nJob instance {old.id} is {ended.status}: no new job was started"
                ) from error
            taken = newest_savepoint(self.hook, self.dinky_task_id)
            return self._go_back(error, variables, ended, None if taken == known else taken)

    def _submit_or_go_back(
        self, path: str | None, variables: Mapping[str, Any], old: JobInstance, back_to: str | None
    ) -> SubmitResult:
        try:
            return self._submit(path, variables, old)
        except AmbiguousSubmitError as error:
            raise DinkyTaskError(f"{error}\nThe savepoint taken before is {back_to}") from error
        except DinkyError as error:
            return self._go_back(error, variables, old, back_to)

    def _go_back(
        self, error: DinkyError, variables: Mapping[str, Any], old: JobInstance, path: str | None
    ) -> SubmitResult:
        """The new start failed: start again from the savepoint just taken, and fail all the same."""
        if path is None:
            raise DinkyTaskError(
                f"{error}\nThe job of Dinky task {self.dinky_task_id} is DOWN ({old.status}), and the savepoint "
                "taken before it was stopped, if any, is not known here: find it in Dinky under the task's savepoints, "
                "and resume from it with SubmitTaskOperator(savepoint_path=...)"
            ) from error
        log.error("The new start failed; starting again from the savepoint just taken, %s. %s", path, error)
        try:
            # Under another mark: a retry must not take the way back for the restart it is to do.
            back = self._submit(path, self._earlier_variables(old, variables), old, f"{self.run_key}/back")
        except DinkyError as again:
            raise DinkyTaskError(
                f"{error}\nStarting again from the savepoint just taken failed too: {again}\nThe job of Dinky task "
                f"{self.dinky_task_id} is DOWN; resume it from {path}"
            ) from error
        raise DinkyTaskError(
            f"{error}\nThe job was started again from the savepoint just taken, {path}: job instance "
            f"{back.job_instance_id} runs as before the restart"
        ) from error

    def _earlier_variables(self, old: JobInstance, fallback: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.hook.config.has_credentials:
            return fallback
        history = self.hook.client.send(calls.list_history(self.dinky_task_id))
        return next((entry.variables for entry in history if entry.id == old.history_id), fallback)

    def _submit(
        self,
        path: str | None,
        variables: Mapping[str, Any],
        old: JobInstance | None,
        run_key: str | None = None,
    ) -> SubmitResult:
        key = run_key or self.run_key
        submission = Submission(self.dinky_task_id, key, path, variables, baseline=old.id if old else 0)
        return submit_once(self.hook.client, submission, sleep=self.sleep)

    def _wait_for_end(self, old: JobInstance) -> JobInstance:
        deadline = time.monotonic() + self.stop_timeout
        while True:
            now = self.hook.refresh_job_instance(old.id)
            if now.status.is_final or time.monotonic() >= deadline:
                return now
            self.sleep(1.0)

    def _job_after(self, old: JobInstance, error: DinkyError) -> JobInstance | None:
        """The job that a restart with a lost answer may have started, looked for as long as it may take."""
        patience = self.hook.config.savepoint_timeout if error.outcome_unknown else 0.0
        deadline = time.monotonic() + patience
        while True:
            newest = self.hook.get_latest_job_instance(self.dinky_task_id)
            if newest is not None and newest.id > old.id:
                return newest
            if time.monotonic() >= deadline:
                return None
            self.sleep(2.0)


def _as_result(instance: JobInstance) -> SubmitResult:
    from airflow_provider_dinky.client.models import SubmitResult

    return SubmitResult(
        id=instance.history_id, job_instance_id=instance.id, job_id=instance.job_id, success=True
    )
