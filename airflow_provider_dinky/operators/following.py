# SPDX-License-Identifier: Apache-2.0
"""What every operator that follows a job shares: publish it, wait for it, finish, stop it when asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_dinky._compat import (
    BaseOperator,
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
    flink_url,
    hasty,
    stop_steps,
)
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.links.dinky import DinkyJobLink, FlinkJobLink
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance, SubmitResult
    from airflow_provider_dinky.client.status import JobStatus
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.job import Watch
    from airflow_provider_dinky.submission import Starter

WAIT_FOR = ("submitted", "running", "finished")
HEARTBEAT = 300.0
"""Seconds between two log lines while nothing changes."""
FOLLOWED_JOB = "followed_job"
"""XCom key of the followed job, for what comes back after a deferral that timed out."""


class FollowingOperator(BaseOperator):
    """Base of the operators that start a job and follow it.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param wait_for: ``submitted`` (Dinky accepted it), ``running`` (it is up) or ``finished`` (it is done).
    :param deferrable: wait in the triggerer instead of on a worker; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds between two looks at the job.
    :param timeout: seconds after which waiting is given up and the task fails; None waits as long as Airflow lets
        it. What becomes of the job then is up to ``cancel_on_kill``.
    :param unknown_timeout: seconds a job may be UNKNOWN (Dinky has lost sight of it) before the task fails.
    :param cancel_on_kill: what becomes of a job that this task started when the task is killed or times out:
        None leaves it running and says how to stop it, ``cancel`` cancels it, ``savepoint`` stops it with one.
    :param on_ambiguous: what to do about a job that is most likely, but not provably, the one this run has started
        (on an anonymous connection only): ``adopt`` follows it, with a warning; ``fail`` leaves it to a person.
    :param lineage_sql: whether the task's SQL is reported to OpenLineage, beside the tables it reads and writes;
        secrets in it are masked.
    """

    template_fields: Sequence[str] = ("dinky_task_id", "dinky_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (DinkyJobLink(), FlinkJobLink())
    ui_color = "#e3f0fb"
    _default_wait_for: ClassVar[str] = "running"

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        wait_for: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 10.0,
        timeout: float | timedelta | None = None,
        unknown_timeout: float = 600.0,
        cancel_on_kill: CancelOnKill = None,
        on_ambiguous: Literal["adopt", "fail"] = "adopt",
        lineage_sql: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dinky_task_id = dinky_task_id
        self.dinky_conn_id = dinky_conn_id
        self.wait_for = str(choice("wait_for", wait_for or self._default_wait_for, WAIT_FOR))
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = None if timeout is None else seconds("timeout", timeout)
        self.unknown_timeout = seconds("unknown_timeout", unknown_timeout)
        self.cancel_on_kill = choice("cancel_on_kill", cancel_on_kill, (None, "cancel", "savepoint"))
        self.on_ambiguous = choice("on_ambiguous", on_ambiguous, ("adopt", "fail"))
        self.lineage_sql = lineage_sql
        self._followed: FollowedJob | None = None
        self._killed = False

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

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
                self._give_up(self._followed, "the time-out of its deferral")

    def on_kill(self) -> None:
        """Airflow ends the task: stop waiting, and stop the job if that was asked for and it is ours."""
        self._killed = True
        if self._followed is not None:
            self.log.warning("The task is being ended. %s", self._stop(self._followed))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What Airflow's OpenLineage provider, if there is one, asks a task that has succeeded.

        :return: ``OperatorLineage`` with the tables that the Dinky task reads and writes; None if that is not known.
        """
        from airflow_provider_dinky.lineage import operator_lineage

        if self._followed is None:
            return None
        return operator_lineage(self.hook.config, self._followed, with_sql=self.lineage_sql)

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
            on_ambiguous=self.on_ambiguous,
            pace=self._pace(),
        )

    def _follow(self, context: Context, job: FollowedJob, *, since: float | None = None) -> int | None:
        from airflow_provider_dinky.job import Outcome, WaitFor, Watch, outcome

        started = time.monotonic() if since is None else since
        self._followed = job
        self._publish(context, job)
        wait_for = WaitFor(self.wait_for)
        if wait_for is WaitFor.SUBMITTED:
            return self._finish(context, job)
        watch = Watch(wait_for, self.unknown_timeout)
        instance = self._look(job, watch)
        if outcome(instance.status, wait_for) is Outcome.WAIT and self.deferrable:
            self._defer(job, instance.status, self._left(started))
        return self._poll(context, job, watch, instance, started)

    def _poll(
        self, context: Context, job: FollowedJob, watch: Watch, instance: JobInstance, started: float
    ) -> int | None:
        from airflow_provider_dinky.client.errors import DinkyConnectionError
        from airflow_provider_dinky.job import MAX_OUTAGE, Outcome

        heard = answered = time.monotonic()
        while True:
            verdict = watch.verdict
            if verdict is Outcome.DONE:
                return self._finish(context, job)
            if verdict is Outcome.FAILED:
                raise JobFailedError(describe_failure(self.hook, job, instance.status, instance.error))
            left = self._left(started)
            if left is not None and left <= 0:
                self._give_up(job, f"{self.timeout:g} s", instance)
            self._sleep(self.poll_interval if left is None else min(self.poll_interval, left))
            if time.monotonic() - heard >= HEARTBEAT:
                heard = time.monotonic()
                self.log.info("State of %s: %s, for %.0f s now", job, instance.status, heard - watch.since)
            try:
                instance = self._look(job, watch)
                answered = time.monotonic()
            except DinkyConnectionError as error:
                silent = time.monotonic() - answered
                if silent >= MAX_OUTAGE:
                    raise
                self.log.warning("No answer for %.0f s, trying on: %s", silent, error)

    def _look(self, job: FollowedJob, watch: Watch) -> JobInstance:
        instance = self.hook.get_job_instance(job.job_instance_id)
        verdict = watch.observe(instance.status, time.monotonic())
        if verdict.refresh and self.hook.config.has_credentials:
            instance = self.hook.refresh_job_instance(job.job_instance_id)
            verdict = watch.observe(instance.status, time.monotonic())
        if verdict.changed:
            self.log.info("State of %s: %s", job, instance.status)
        return instance

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
        self.log.info("State of %s: %s", job, status)
        if result is Outcome.DONE:
            return self._finish(context, job)
        if result is Outcome.WAIT:
            return self._follow(context, job)
        raise JobFailedError(describe_failure(self.hook, job, status, event.get("error")))

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
                **self._for_on_kill(job),
                status=str(status),
            ),
            method_name="execute_complete",
            kwargs={"job": job.to_dict()},
            timeout=None if left is None else timedelta(seconds=max(left, 0.0)),
        )

    def _for_on_kill(self, job: FollowedJob) -> dict[str, Any]:
        if self.cancel_on_kill is None or not job.started:
            return {}
        return {
            "cancel_on_kill": self.cancel_on_kill,
            "job_id": job.job_id,
            "job_manager_address": job.job_manager_address,
        }

    def _finish(self, context: Context, job: FollowedJob) -> int | None:
        return job.job_instance_id

    def _publish(self, context: Context, job: FollowedJob) -> None:
        links = {
            DinkyJobLink.xcom_key: dinky_url(self.hook.config.base_url, job.job_instance_id),
            FlinkJobLink.xcom_key: flink_url(job.job_manager_address, job.job_id),
        }
        self.log.info("Following %s, Flink job %s", job, job.job_id)
        self.log.info("Dinky: %s", links[DinkyJobLink.xcom_key])
        self.log.info("Flink: %s", links[FlinkJobLink.xcom_key] or "its page is not known")
        self._push(
            context,
            {
                **links,
                FOLLOWED_JOB: job.to_dict(),
                "job_instance_id": job.job_instance_id,
                "job_id": job.job_id,
                "job_manager_address": job.job_manager_address,
            },
        )

    @staticmethod
    def _published(context: Context) -> dict[str, Any] | None:
        ti: Any = context["ti"]
        known: dict[str, Any] | None = ti.xcom_pull(
            task_ids=ti.task_id, key=FOLLOWED_JOB, map_indexes=ti.map_index
        )
        return known

    def _push(self, context: Context, values: dict[str, Any]) -> None:
        ti: Any = context["ti"]
        try:
            for key, value in values.items():
                if value is not None:
                    ti.xcom_push(key=key, value=value)
        except Exception:
            # The job runs: whoever reads the log finds it, and losing sight of it now would be worse.
            self.log.exception("XCom could not be written; the job is followed all the same: %s", values)

    def _started_job(self, dinky_task_id: int, result: SubmitResult) -> FollowedJob:
        assert result.job_instance_id is not None
        return FollowedJob(
            dinky_task_id, result.job_instance_id, result.job_id, result.job_manager_address, started=True
        )

    def _left(self, started: float) -> float | None:
        return None if self.timeout is None else self.timeout - (time.monotonic() - started)

    def _give_up(self, job: FollowedJob, after: str, instance: JobInstance | None = None) -> None:
        instance = instance or self.hook.get_job_instance(job.job_instance_id)
        raise JobTimeoutError(
            f"connection '{self.dinky_conn_id}': {job} is {instance.status} and not {self.wait_for} after "
            f"{after}. {self._stop(job)}\nDinky: {dinky_url(self.hook.config.base_url, job.job_instance_id)}"
        )

    def _stop(self, job: FollowedJob, how: CancelOnKill = None) -> str:
        how = how or self.cancel_on_kill
        if how is None or not job.started:
            return (
                f"{job} is left running; stop it in Dinky, or with "
                f"CancelTaskOperator(dinky_task_id={job.dinky_task_id})"
            )
        from airflow_provider_dinky.client.blocking import DinkyClient
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.retry import HASTY

        try:
            config = hasty(self.hook.config)
            with DinkyClient(config, HASTY) as client:
                return client.run(stop_steps(job, how, config))
        except DinkyError as error:
            return f"Whether {job} was stopped is not known: {error}"

    def _sleep(self, how_long: float) -> None:
        until = time.monotonic() + how_long
        while True:
            if self._killed:
                raise DinkyTaskError("the task was ended while it waited")
            left = until - time.monotonic()
            if left <= 0:
                return
            # In short steps: on_kill comes in a signal handler, and execute goes on after it.
            time.sleep(min(left, 0.5))
