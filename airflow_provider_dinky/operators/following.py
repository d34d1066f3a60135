# SPDX-License-Identifier: Apache-2.0
"""What every operator that follows a job shares: publish it, wait for it, finish, stop it when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow_provider_dinky._compat import (
    BaseOperatorLink,
    Context,
    TaskDeferralTimeout,
    default_deferrable,
    deferral_timed_out,
    is_retry,
    run_key,
    state_store,
)
from airflow_provider_dinky.exceptions import (
    DinkyTaskError,
    JobFailedError,
    JobTimeoutError,
    as_airflow_errors,
)
from airflow_provider_dinky.followed import (
    CancelOnKill,
    FollowedJob,
    describe_failure,
    dinky_url,
    hasty,
    look_anew,
    stop_steps,
)
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.links.dinky import DinkyJobLink, FlinkJobLink
from airflow_provider_dinky.log_lines import Talk, state_line, unchanged_line
from airflow_provider_dinky.operators.publishing import PublishingOperator
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance, SubmitResult
    from airflow_provider_dinky.client.status import JobStatus
    from airflow_provider_dinky.job import Watch
    from airflow_provider_dinky.submission import Starter

WaitForName = Literal["submitted", "running", "checkpointed", "finished"]
WAIT_FOR = ("submitted", "running", "checkpointed", "finished")
CHECKPOINT_TIMEOUT = 900.0
"""Seconds until the first checkpoint, where no time-out is given."""


class FollowingOperator(PublishingOperator):
    """Base of the operators that start a job and follow it.

    SubmitTaskOperator and RestartTaskOperator spell its parameters out and explain them.
    """

    operator_extra_links: Sequence[BaseOperatorLink] = (DinkyJobLink(), FlinkJobLink())

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        wait_for: WaitForName = "running",
        deferrable: bool | None = None,
        poll_interval: float = 10.0,
        timeout: float | timedelta | None = None,
        unknown_timeout: float = 600.0,
        cancel_on_kill: CancelOnKill = None,
        lineage_sql: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dinky_task_id=dinky_task_id, dinky_conn_id=dinky_conn_id, **kwargs)
        self.wait_for = str(choice("wait_for", wait_for, WAIT_FOR))
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        if timeout is None and self.wait_for == "checkpointed":
            timeout = CHECKPOINT_TIMEOUT
        self.timeout = None if timeout is None else seconds("timeout", timeout)
        self.unknown_timeout = seconds("unknown_timeout", unknown_timeout)
        self.cancel_on_kill = choice("cancel_on_kill", cancel_on_kill, (None, "cancel", "savepoint"))
        self.lineage_sql = lineage_sql
        self._followed: FollowedJob | None = None
        self._killed = False
        self._killed_said = False

    def execute_complete(
        self, context: Context, event: dict[str, Any], job: dict[str, Any] | None = None
    ) -> int | None:
        """Go on after the trigger has seen the job where it was awaited, or given up."""
        # `airflow dags test` hands over nothing but the event.
        known = job or self._published(context)
        if not known:
            raise DinkyTaskError(f"the job is not known any more, of which the trigger said {event}")
        self._followed = FollowedJob.from_dict(known)
        with as_airflow_errors(), self.hook:
            return self._after_event(context, self._followed, event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's way back from a deferral; a deferral that timed out leaves the job to us."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            if not deferral_timed_out(error):
                raise
            known = self._published(context)
            if not known:
                raise
            self._followed = FollowedJob.from_dict(known)
            with as_airflow_errors(), self.hook:
                self._give_up(context, self._followed, "the time-out of its deferral")

    def on_kill(self) -> None:
        """Airflow ends the task: stop waiting, and stop the job if that was asked for and it is ours."""
        self._killed = True
        if self._followed is not None:
            self._stop_once(self._followed)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What Airflow's OpenLineage provider, if there is one, asks a task that has succeeded.

        :return: ``OperatorLineage`` with the tables that the Dinky task reads and writes; None if that is not known.
        """
        from airflow_provider_dinky.lineage import operator_lineage

        if self._followed is None:
            return None
        return operator_lineage(self.hook.client, self._followed, with_sql=self.lineage_sql)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """What it asks a task that has failed: nothing is known to have been read or written, so None."""
        return None

    def _pace(self) -> Pace:
        return Pace(sleep=self._sleep)

    def _starter(self, context: Context, dinky_task_id: int) -> Starter:
        """What starts the job once for this run of the Airflow task."""
        from airflow_provider_dinky.intent import Journal
        from airflow_provider_dinky.submission import Starter

        key = run_key(context)
        return Starter(
            self.hook.client,
            dinky_task_id,
            key,
            Journal(state_store(context), key),
            is_retry=is_retry(context),
            pace=self._pace(),
        )

    def _follow(self, context: Context, job: FollowedJob, *, since: float | None = None) -> int | None:
        from airflow_provider_dinky.job import ENDED, WaitFor, Watch

        started = time.monotonic() if since is None else since
        self._followed = job
        self._publish(context, job)
        if self._killed:
            # Perhaps while the submit was under way, when there was no job to stop yet.
            self._stop_once(job)
            self._check_not_killed()
        wait_for = WaitFor(self.wait_for)
        if wait_for is WaitFor.SUBMITTED:
            return self._finish(context, job)
        watch = Watch(wait_for, self.unknown_timeout)
        instance = self._look(job, watch)
        self.log.info(state_line(str(job), instance.status))
        if watch.verdict not in ENDED and self.deferrable:
            self._defer(job, instance.status, self._left(started))
        return self._poll(context, job, watch, instance, started)

    def _poll(
        self, context: Context, job: FollowedJob, watch: Watch, instance: JobInstance, started: float
    ) -> int | None:
        from airflow_provider_dinky.client.errors import DinkyConnectionError
        from airflow_provider_dinky.job import MAX_OUTAGE, Outcome

        now = time.monotonic()
        talk = Talk(said=now, answered=now)
        while True:
            verdict = watch.verdict
            if verdict is Outcome.DONE:
                return self._finish(context, job)
            if verdict is Outcome.FAILED:
                self._fail(context, job, instance.status, instance.error)
            left = self._left(started)
            if left is not None and left <= 0:
                self._give_up(context, job, f"{self.timeout:g} s", instance)
            self._sleep(self.poll_interval if left is None else min(self.poll_interval, left))
            before = watch.status
            try:
                instance = self._look(job, watch)
            except DinkyConnectionError as error:
                if time.monotonic() - talk.answered >= MAX_OUTAGE:
                    raise
                lines = talk.hears_nothing(error, time.monotonic())
            else:
                now = time.monotonic()
                changed = None if watch.status == before else state_line(str(job), instance.status)
                lines = talk.hears(changed, unchanged_line(str(job), instance.status, now - watch.since), now)
            for line in lines:
                self.log.info(line)

    def _look(self, job: FollowedJob, watch: Watch) -> JobInstance:
        instance = self.hook.get_job_instance(job.job_instance_id)
        verdict = watch.observe(instance.status, time.monotonic())
        if verdict.refresh:
            instance = look_anew(self.hook, instance)
            watch.observe(instance.status, time.monotonic())
        if watch.wants_checkpoint and self._has_checkpoint(job):
            watch.saw_checkpoint()
        return instance

    def _has_checkpoint(self, job: FollowedJob) -> bool:
        from airflow_provider_dinky.checkpoints import first_checkpoint_steps

        has_one = self.hook.client.run(first_checkpoint_steps(self.hook.config, job))
        if has_one:
            self.log.info("First checkpoint of %s is complete", job)
        return has_one

    def _after_event(self, context: Context, job: FollowedJob, event: dict[str, Any]) -> int | None:
        from airflow_provider_dinky.client.status import JobStatus
        from airflow_provider_dinky.job import Outcome, WaitFor, outcome

        if event.get("kind") != "state":
            raise DinkyTaskError(
                f"connection '{self.dinky_conn_id}': {job} could not be followed: {event.get('error')}. "
                "The job itself was not touched"
            )
        status = JobStatus(event.get("status"))
        result = outcome(status, WaitFor(self.wait_for))
        self.log.info(state_line(str(job), status))
        if event.get("checkpointed"):
            self.log.info("First checkpoint of %s is complete", job)
            return self._finish(context, job)
        if result is Outcome.DONE:
            return self._finish(context, job)
        if result is Outcome.WAIT:
            return self._follow(context, job)
        self._fail(context, job, status, event.get("error"))

    def _defer(self, job: FollowedJob, status: JobStatus, left: float | None) -> None:
        from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

        self.defer(
            trigger=JobStatusTrigger(
                job.job_instance_id,
                dinky_conn_id=self.dinky_conn_id,
                wait_for=self.wait_for,
                poll_interval=self.poll_interval,
                unknown_timeout=self.unknown_timeout,
                dinky_task_id=job.dinky_task_id,
                cancel_on_kill=self.cancel_on_kill if job.started else None,
                **self._in_flink(job),
                status=str(status),
            ),
            method_name="execute_complete",
            kwargs={"job": job.to_dict()},
            timeout=None if left is None else timedelta(seconds=max(left, 0.0)),
        )

    def _in_flink(self, job: FollowedJob) -> dict[str, Any]:
        """Where the trigger finds the job in Flink, if it may have to look there."""
        if self.wait_for != "checkpointed" and (self.cancel_on_kill is None or not job.started):
            return {}
        return {"job_id": job.job_id, "job_manager_address": job.job_manager_address}

    def _finish(self, context: Context, job: FollowedJob) -> int | None:
        return job.job_instance_id

    def _started_job(
        self,
        dinky_task_id: int,
        result: SubmitResult,
        *,
        before: int | None = None,
        back_to: str | None = None,
    ) -> FollowedJob:
        if result.job_instance_id is None:
            raise DinkyTaskError(
                f"Dinky task {dinky_task_id}: Dinky answered without a job instance (Flink job "
                f"{result.job_id or 'none'}), so the job cannot be followed: look into Dinky whether it runs"
            )
        return FollowedJob(
            dinky_task_id,
            result.job_instance_id,
            result.job_id,
            result.job_manager_address,
            started=True,
            before=before,
            back_to=back_to,
        )

    def _left(self, started: float) -> float | None:
        return None if self.timeout is None else self.timeout - (time.monotonic() - started)

    def _fail(self, context: Context, job: FollowedJob, status: JobStatus, noted: str | None) -> NoReturn:
        """The job is not where it was awaited, and will not get there."""
        error = JobFailedError(describe_failure(self.hook, job, status, noted))
        go_back = self._way_back(context, job, status)
        if go_back is not None:
            go_back(error)
        raise error

    def _give_up(
        self, context: Context, job: FollowedJob, after: str, instance: JobInstance | None = None
    ) -> NoReturn:
        instance = instance or self.hook.get_job_instance(job.job_instance_id)
        go_back = self._way_back(context, job, instance.status, timed_out=True)
        error = JobTimeoutError(
            f"connection '{self.dinky_conn_id}': {job} is {instance.status} and not {self.wait_for} after {after}. "
            f"{'' if go_back else self._stop(job)}\n"
            f"Dinky: {dinky_url(self.hook.config.base_url, job.job_instance_id)}"
        )
        if go_back is not None:
            go_back(error)
        raise error

    def _way_back(
        self, context: Context, job: FollowedJob, status: JobStatus, *, timed_out: bool = False
    ) -> Callable[[Exception], NoReturn] | None:
        """What puts things back as they were before a job that is not good, if that can be done; it raises, too."""
        return None

    def _stop(self, job: FollowedJob, how: CancelOnKill = None) -> str:
        how = how or self.cancel_on_kill
        if how is None or not job.started:
            return (
                f"{job} is left running; stop it in Dinky, or with "
                f"CancelTaskOperator(dinky_task_id={job.dinky_task_id})"
            )
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.retry import HASTY

        try:
            config = hasty(self.hook.config)
            # A sign-in of its own would take time that there is not, and sign out everybody else of the same user.
            with self.hook.client.with_patience(config, HASTY) as client:
                return client.run(stop_steps(job, how, config))
        except DinkyError as error:
            return f"Whether {job} was stopped is not known: {error}"

    def _stop_once(self, job: FollowedJob) -> None:
        if not self._killed_said:
            self._killed_said = True
            self.log.warning("The task is being ended. %s", self._stop(job))

    def _check_not_killed(self) -> None:
        if self._killed:
            raise DinkyTaskError("the task was ended while it waited")

    def _sleep(self, how_long: float) -> None:
        until = time.monotonic() + how_long
        while True:
            self._check_not_killed()
            left = until - time.monotonic()
            if left <= 0:
                return
            # In short steps: on_kill comes in a signal handler, and execute goes on after it.
            time.sleep(min(left, 0.5))
