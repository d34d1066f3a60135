# SPDX-License-Identifier: Apache-2.0
"""What every operator that follows a job shares: publish it, wait for it, finish, stop it when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow_provider_dinky._compat import (
    BaseOperatorLink,
    Context,
    TaskDeferralTimeout,
    default_deferrable,
    deferral_timed_out,
    is_retry,
    left_of_execution_timeout,
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
    StopResult,
    describe_failure,
    dinky_url,
    hasty,
    stop_steps,
)
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.jobs.follower import MAX_OUTAGE
from airflow_provider_dinky.jobs.wait_log import checkpoint_line, state_line
from airflow_provider_dinky.links.dinky import DinkyJobLink, FlinkJobLink
from airflow_provider_dinky.operators.publishing import PublishingOperator
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import SubmitResult
    from airflow_provider_dinky.client.status import JobStatus
    from airflow_provider_dinky.jobs.facts import JobFacts
    from airflow_provider_dinky.jobs.follower import Follower
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
    max_outage = MAX_OUTAGE
    """Seconds without any answer about the job after which the task fails; the job itself goes on."""

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
        self._kept_for: Context | None = None
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
        self._followed, self._kept_for = FollowedJob.from_dict(known), context
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
            self._followed, self._kept_for = FollowedJob.from_dict(known), context
            with as_airflow_errors(), self.hook:
                self._give_up(context, self._followed, self._limit(context))

    def on_kill(self) -> None:
        """Airflow ends the task: stop waiting, and stop the job if that was asked for and it is ours."""
        self._killed = True
        if self._followed is not None:
            self._stop_once(self._followed)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What Airflow's OpenLineage provider, if there is one, asks a task that has succeeded.

        :return: ``OperatorLineage`` with the tables that the job reads and writes, as far as they are known.
        """
        from airflow_provider_dinky.lineage import operator_lineage

        return operator_lineage(self.hook.client, self._followed, with_sql=self.lineage_sql)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """What it asks a task that has failed: Flink's id of the job; what was read or written is not known."""
        from airflow_provider_dinky.lineage import operator_lineage

        return operator_lineage(self.hook.client, self._followed, with_sql=False, has_failed=True)

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
        started = time.monotonic() if since is None else since
        self._followed, self._kept_for = job, context
        self._publish(context, job)
        if self._killed:
            # Perhaps while the submit was under way, when there was no job to stop yet.
            self._stop_once(job)
            self._check_not_killed()
        if self.wait_for == "submitted":
            return self._finish(context, job)
        follower = self._follower(job)
        self._look(job, follower)
        if not follower.has_ended and self.deferrable:
            self._defer(context, job, follower.status, self._left(started))
        return self._poll(context, job, follower, started)

    def _follower(self, job: FollowedJob) -> Follower:
        from airflow_provider_dinky.job import WaitFor
        from airflow_provider_dinky.jobs.follower import Follower
        from airflow_provider_dinky.operations.inspect_job import sees_flink

        return Follower(
            WaitFor(self.wait_for),
            time.monotonic(),
            unknown_timeout=self.unknown_timeout,
            max_outage=self.max_outage,
            sees_flink=sees_flink(self.hook.config, job.job_manager_address),
            # It was submitted, or found running, just now.
            answered=True,
        )

    def _poll(self, context: Context, job: FollowedJob, follower: Follower, started: float) -> int | None:
        from airflow_provider_dinky.jobs.next_step import Next

        while True:
            if follower.next is Next.DONE:
                return self._finish(context, job)
            if follower.next is Next.FAILED:
                self._fail(context, job, follower.facts())
            if follower.next is Next.UNREADABLE:
                raise self._unreadable(job, follower.unreadable)
            left = self._left(started)
            if left is not None and left <= 0:
                self._give_up(context, job, f"{self.timeout:g} s", follower.status)
            self._sleep(self.poll_interval if left is None else min(self.poll_interval, left))
            self._look(job, follower)

    def _look(self, job: FollowedJob, follower: Follower) -> None:
        from airflow_provider_dinky.operations.inspect_job import look

        steps = look(self.hook.config, follower, job, time.monotonic)
        self.hook.client.run(steps, sleep=self._sleep)
        for line in follower.lines(str(job)):
            self.log.info(line)

    def _after_event(self, context: Context, job: FollowedJob, event: dict[str, Any]) -> int | None:
        from airflow_provider_dinky.job import WaitFor
        from airflow_provider_dinky.jobs.facts import JobFacts

        if event.get("kind") != "state":
            raise self._unreadable(job, event.get("error"))
        facts = JobFacts.from_event(event)
        self.log.info(state_line(str(job), facts.status))
        if facts.checkpointed:
            self.log.info(checkpoint_line(str(job)))
        is_done = facts.is_done(WaitFor(self.wait_for))
        if is_done:
            return self._finish(context, job)
        if is_done is None:
            return self._follow(context, job)
        self._fail(context, job, facts)

    def _unreadable(self, job: FollowedJob, why: str | None) -> DinkyTaskError:
        return DinkyTaskError(
            f"connection '{self.dinky_conn_id}': {job} could not be followed: {why}. The job itself was not touched"
        )

    def _defer(
        self, context: Context, job: FollowedJob, status: JobStatus | None, left: float | None
    ) -> None:
        from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

        limits = [one for one in (left, left_of_execution_timeout(context, self)) if one is not None]
        self.defer(
            trigger=JobStatusTrigger(
                job.job_instance_id,
                dinky_conn_id=self.dinky_conn_id,
                wait_for=self.wait_for,
                poll_interval=self.poll_interval,
                unknown_timeout=self.unknown_timeout,
                max_outage=self.max_outage,
                dinky_task_id=job.dinky_task_id,
                cancel_on_kill=self.cancel_on_kill if job.started else None,
                job_id=job.job_id,
                job_manager_address=job.job_manager_address,
                status=None if status is None else str(status),
            ),
            method_name="execute_complete",
            kwargs={"job": job.to_dict()},
            timeout=timedelta(seconds=max(min(limits), 0.0)) if limits else None,
        )

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

    def _limit(self, context: Context) -> str:
        """Which time-out has ended a deferral."""
        if left_of_execution_timeout(context, self) == 0 and self.execution_timeout is not None:
            return f"the execution_timeout of {self.execution_timeout.total_seconds():g} s"
        return "the time-out of its deferral"

    def _left(self, started: float) -> float | None:
        return None if self.timeout is None else self.timeout - (time.monotonic() - started)

    def _fail(self, context: Context, job: FollowedJob, facts: JobFacts) -> NoReturn:
        """The job is not where it was awaited, and will not get there."""
        from airflow_provider_dinky.client.status import JobStatus

        error = JobFailedError(describe_failure(self.hook, job, facts.status, facts.error, **facts.details()))
        # A job that is restarted again and again is as bad as one that has failed.
        go_back = self._way_back(context, job, JobStatus.FAILED if facts.restarts else facts.status)
        if go_back is not None:
            go_back(error)
        raise error

    def _give_up(
        self, context: Context, job: FollowedJob, after: str, status: JobStatus | None = None
    ) -> NoReturn:
        status = status or self._last_state(job)
        go_back = self._way_back(context, job, status, timed_out=True) if status is not None else None
        now = f"is {status} and not" if status is not None else "cannot be looked at, and is not known to be"
        error = JobTimeoutError(
            f"connection '{self.dinky_conn_id}': {job} {now} {self.wait_for} after {after}. "
            f"{'' if go_back else self._stop(job)}\n"
            f"Dinky: {dinky_url(self.hook.config.base_url, job.job_instance_id)}"
        )
        if go_back is not None:
            go_back(error)
        raise error

    def _last_state(self, job: FollowedJob) -> JobStatus | None:
        """The job's state; None where that cannot be read: what is to be done about the job must not depend on it."""
        from airflow_provider_dinky.client.calls import get_job_instance
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.retry import HASTY

        try:
            with self.hook.client.with_patience(hasty(self.hook.config), HASTY) as client:
                return client.send(get_job_instance(job.job_instance_id)).status
        except DinkyError as error:
            self.log.warning("The state of %s could not be read: %s", job, error)
            return None

    def _way_back(
        self, context: Context, job: FollowedJob, status: JobStatus, *, timed_out: bool = False
    ) -> Callable[[Exception], NoReturn] | None:
        """What puts things back as they were before a job that is not good, if that can be done; it raises, too."""
        return None

    def _stop(self, job: FollowedJob, how: CancelOnKill = None) -> str:
        result = self._stop_now(job, how)
        if result.savepoint_path:
            # Said first: what comes now may not be possible any more.
            self.log.warning("%s", result)
            self._keep_savepoint(result.savepoint_path)
        return result.text

    def _keep_savepoint(self, path: str) -> None:
        """Leave the savepoint that the job was stopped with where others, and this task after a clear, find it."""
        from airflow_provider_dinky.intent import Journal

        context = self._kept_for
        if context is None:
            return
        self._push(context, {"savepoint_path": path})
        try:
            journal = Journal(state_store(context), run_key(context))
            last = journal.last()
            if last is not None:
                journal.note(replace(last, stopped_with=path))
        except Exception:
            self.log.warning("Savepoint %s could not be written down for a clear", path, exc_info=True)

    def _stop_now(self, job: FollowedJob, how: CancelOnKill) -> StopResult:
        how = how or self.cancel_on_kill
        if how is None or not job.started:
            return StopResult(
                f"{job} is left running; stop it in Dinky, or with "
                f"CancelTaskOperator(dinky_task_id={job.dinky_task_id})"
            )
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.retry import HASTY

        try:
            if how == "savepoint" and not self._killed:
                # Nobody ends this process: the savepoint has the time that it takes.
                return self.hook.client.run(stop_steps(job, how, self.hook.config), sleep=self._sleep)
            config = hasty(self.hook.config)
            # A sign-in of its own would take time that there is not, and sign out everybody else of the same user.
            with self.hook.client.with_patience(config, HASTY) as client:
                return client.run(stop_steps(job, how, config))
        except DinkyError as error:
            taken = " Look for its savepoint in Dinky's list of the task's" if how == "savepoint" else ""
            return StopResult(f"Whether {job} was stopped is not known: {error}.{taken}")

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
