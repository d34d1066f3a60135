# SPDX-License-Identifier: Apache-2.0
"""Dinky's own restart (``method="endpoint"``), and what it shares with the restart in steps.

One call in which Dinky takes a savepoint, cancels and submits. It drops the variables of the running job, stops the
job before it finds out that a given path is bad, and tells an anonymous caller nothing of the savepoint it took when
the new start fails; and its job carries no mark, so that without a task state store a retry could not tell it from the
old one.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError, DinkyRefusedError
from airflow_provider_dinky.client.job_config import JobConfig
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.exceptions import StateLostError
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.intent import Intent, Step
from airflow_provider_dinky.new_start import NewStart
from airflow_provider_dinky.savepoints import newest_savepoint_id, taken_since

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance

log = logging.getLogger(__name__)

_STOP_FAILED = "stop job failed"
"""What Dinky says when the old job of its own restart has not ended within 22 s."""


@dataclass
class EndpointRestart(NewStart):
    """Restarts a job by Dinky's own call."""

    @abstractmethod
    def _afresh(self, after: Intent | None = None) -> SubmitResult:
        """Restart what runs now; ``after`` is the step before, which has left the job running, or seemed to."""

    def _check_in_place(self, old: JobInstance) -> None:
        # Dinky stops whatever is the task's newest job by then, and checking the SQL may have taken long.
        newest = self.hook.get_latest_job_instance(self._task_id)
        if newest is not None and newest.id != old.id:
            raise self._error(
                f"job instance {newest.id} has taken the place of job instance {old.id} meanwhile: somebody else "
                "restarts or starts the task at the same time. Nothing was touched"
            )

    def _restart_by_endpoint(self, old: JobInstance, path: str | None) -> SubmitResult:
        asked = calls.restart_task(self._task_id, path)
        sent = self._intent(Step.ENDPOINT, old, self.hook.client.longest(asked), path)
        self._check_in_place(old)
        self._journal.announce(sent)
        try:
            result = self.hook.restart_task(self._task_id, path)
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
            raise StateLostError(str(error))
        return result

    def _after_endpoint(self, sent: Intent, error: DinkyError | None = None) -> SubmitResult:
        """Dinky's restart was sent, and its answer is not known: find out what became of it."""
        for pause in self.starter.pace.pauses():
            is_over = self.starter.pace.now() >= sent.settled_at
            try:
                result = self._result_of_endpoint(sent)
            except DinkyError as unreadable:
                if is_over:
                    raise
                log.debug("Dinky cannot be asked yet: %s", unreadable)
            else:
                if result is not None:
                    return self._restarted(sent, result, told=self.hook.config.has_credentials)
            if is_over:
                break
            self.starter.pace.sleep(pause)
        old = self.hook.refresh_job_instance(sent.baseline)
        if not old.status.is_final:
            log.info("The restart had no effect: job instance %s is %s", old.id, old.status)
            self._journal.note(sent.then(Step.RETURNED))
            return self._afresh(sent)
        return self._submit_or_go_back(self._stopped_by_endpoint(sent, old, error), old)

    def _result_of_endpoint(self, sent: Intent) -> SubmitResult | None:
        newest = self.hook.get_latest_job_instance(self._task_id)
        if newest is None or newest.id <= sent.baseline:
            return None
        path = sent.resume_from or self._taken_since(sent)
        log.warning("Job instance %s is there; taking it for the restarted one", newest.id)
        return SubmitResult(
            id=newest.history_id, job_instance_id=newest.id, job_id=newest.job_id, success=True
        ).model_copy(update={"job_config": JobConfig(save_point_path=path)})

    def _endpoint_failed(self, sent: Intent, error: DinkyError) -> SubmitResult:
        old, has_ended, before = self._after_refusal(sent, error)
        if not has_ended:
            self._journal.note(sent.then(Step.RETURNED))
            now = "runs on untouched" if before else f"is {old.status}"
            raise self._error(f"Job instance {old.id} {now}; no new job was started", error) from error
        self._go_back(self._stopped_by_endpoint(sent, old, error), old, error)

    def _after_refusal(self, sent: Intent, error: DinkyError) -> tuple[JobInstance, bool, bool]:
        """The old job after Dinky has refused the restart; whether it has ended; whether it was never touched.

        Dinky submits the new job only when it itself calls the old one ended, and says "stop job failed" if that takes
        too long. So a refusal (code 1) for another reason, while Dinky calls the old job active, came before the stop.
        """
        old = self.hook.get_job_instance(sent.baseline)
        if old.status.is_final:
            return old, True, False
        is_refusal = isinstance(error, DinkyRefusedError) and error.code == 1
        if is_refusal and _STOP_FAILED not in str(error).lower():
            return old, False, True
        return (*self._wait_for_end(sent.baseline), False)

    def _stopped_by_endpoint(self, sent: Intent, old: JobInstance, error: DinkyError | None) -> Intent:
        taken = self._taken_since(sent, old.job_id)
        if taken is None:
            raise self._down(old, error)
        return sent.then(Step.STOPPED, taken=taken, resume_from=taken)

    def _taken_since(self, sent: Intent, job_id: str | None = None) -> str | None:
        """The savepoint that the old job was stopped with, if Dinky has taken one since.

        :param job_id: Flink's id of the old job; None to ask for it.
        """
        if not self.hook.config.has_credentials:
            return None
        if job_id is None and sent.baseline:
            job_id = self.hook.get_job_instance(sent.baseline).job_id
        path = taken_since(self.hook, self._task_id, sent.known_savepoint_id or 0, job_id)
        return path if path != sent.known_savepoint else None

    def _intent(self, step: Step, old: JobInstance, patience: float, path: str | None) -> Intent:
        return Intent(
            self.starter.run_key,
            step,
            sent_at=self.starter.pace.now(),
            patience=patience,
            baseline=old.id,
            resume_from=path,
            known_savepoint_id=newest_savepoint_id(self.hook, self._task_id),
        )

    def _note_started(self, sent: Intent, result: SubmitResult) -> None:
        if result.job_instance_id is None:
            return
        job = FollowedJob(
            self._task_id, result.job_instance_id, result.job_id, result.job_manager_address, started=True
        )
        path = result.savepoint_path
        self._journal.note(sent.then(Step.STARTED, job=job.to_dict(), resume_from=path, taken=path))
