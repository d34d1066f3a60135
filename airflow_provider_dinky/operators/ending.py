# SPDX-License-Identifier: Apache-2.0
"""What the operators that stop a job share: stop it once, publish its savepoint, wait for its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import (
    Context,
    TaskDeferralTimeout,
    default_deferrable,
    deferral_timed_out,
    is_retry,
    run_key,
    state_store,
)
from airflow_provider_dinky.exceptions import JobTimeoutError, as_airflow_errors
from airflow_provider_dinky.followed import FollowedJob, look_anew
from airflow_provider_dinky.operators.base import DinkyOperator
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.parameters import seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.operations.stop import JobEnd
    from airflow_provider_dinky.stop_once import Stopped

BACKSTOP = 60.0
"""Seconds that a triggerer may be late with the word that the time is over."""


class StoppingOperator(DinkyOperator):
    """Base of the operators that may stop a job; a retry finds the savepoint of an earlier try.

    :param wait_for_completion: return when the job has ended, and not when Dinky has accepted the request.
    :param stop_timeout: seconds the job may take to end.
    :param deferrable: wait in the triggerer instead of on a worker; default: ``[operators] default_deferrable``.
    :param job_manager_address: ``host:port`` of Flink's job manager, to ask it on an anonymous connection that allows
        Flink REST; Dinky tells it to signed-in users only. Templated.
    """

    template_fields: Sequence[str] = (*DinkyOperator.template_fields, "job_manager_address")

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        wait_for_completion: bool,
        stop_timeout: float,
        deferrable: bool | None,
        job_manager_address: str | None,
        dinky_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(dinky_task_id=dinky_task_id, dinky_conn_id=dinky_conn_id, **kwargs)
        self.wait_for_completion = wait_for_completion
        self.stop_timeout = seconds("stop_timeout", stop_timeout)
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.job_manager_address = job_manager_address
        self._can_refresh = False

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        job: dict[str, Any] | None = None,
        savepoint_path: str | None = None,
        refresh: bool = False,
    ) -> str | None:
        """Go on after the trigger has seen the job end, or the time was over."""
        from airflow_provider_dinky.client.errors import DinkyConnectionError
        from airflow_provider_dinky.client.status import JobStatus
        from airflow_provider_dinky.operations.stop import JobEnd

        # `airflow dags test` hands over nothing but the event.
        followed = FollowedJob.from_dict(
            job or {"dinky_task_id": None, "job_instance_id": event["job_instance_id"]}
        )
        path = savepoint_path or self._pushed_path(context)
        status = event.get("status")
        error = None if event.get("error") is None else DinkyConnectionError(str(event["error"]), sent=False)
        end = JobEnd(bool(event.get("has_ended")), None if status is None else JobStatus(status), error)
        with as_airflow_errors(), self.hook:
            return self._finish(followed, path, end)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's way back from a deferral; one that timed out is looked at once more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            known = (next_kwargs or {}).get("job")
            if not deferral_timed_out(error) or not known:
                raise
            self._can_refresh = bool((next_kwargs or {}).get("refresh"))
            with as_airflow_errors(), self.hook:
                return self._wait(FollowedJob.from_dict(known), self._pushed_path(context), 0.0)

    def _newest(self, dinky_task_id: int) -> JobInstance | None:
        """The task's newest job; where Dinky can be made to ask Flink, as it is now."""
        from airflow_provider_dinky.operations.stop import can_refresh

        newest = self.hook.get_latest_job_instance(dinky_task_id)
        if newest is not None and newest.status.is_active:
            self._can_refresh = self.hook.client.run(can_refresh(self.hook.config, dinky_task_id))
            if self._can_refresh:
                newest = look_anew(self.hook, newest)
        return newest

    def _has_ended(self, newest: JobInstance | None) -> bool:
        """Whether there is nothing to stop: no job, one that has ended, or one that Flink does not know any more."""
        from airflow_provider_dinky.client.status import JobStatus

        if newest is None or newest.status != JobStatus.UNKNOWN:
            return newest is None or newest.status.is_final
        return self._is_gone(self._job(newest.dinky_task_id, newest.id, newest.job_id))

    def _stop_with_savepoint(
        self,
        context: Context,
        dinky_task_id: int,
        kind: Literal["stop", "cancel"],
        newest: JobInstance | None,
        has_ended: bool,
    ) -> Stopped | None:
        """Stop the job, or find what an earlier try has stopped it with; None if there was nothing to stop."""
        from airflow_provider_dinky.intent import Journal
        from airflow_provider_dinky.stop_once import StopOnce

        if newest is not None and not has_ended:
            self._announce_stop(context, dinky_task_id, newest.id)
        key = run_key(context)
        journal = Journal(state_store(context), key)
        stop = StopOnce(self.hook, dinky_task_id, kind, key, journal, is_retry(context), self._pace())
        return stop.run(newest, has_ended=has_ended)

    def _publish_path(self, context: Context, dinky_task_id: int, stopped: Stopped) -> FollowedJob:
        self.log.info("Savepoint of Dinky task %s: %s", dinky_task_id, stopped.path)
        self._push_path(context, stopped.path)
        return self._job(dinky_task_id, stopped.job_instance_id, stopped.job_id)

    def _job(self, dinky_task_id: int | None, job_instance_id: int, job_id: str | None) -> FollowedJob:
        return FollowedJob(dinky_task_id, job_instance_id, job_id, self.job_manager_address)

    def _pace(self) -> Pace:
        return Pace()

    def _push_path(self, context: Context, path: str) -> None:
        ti: Any = context["ti"]
        ti.xcom_push(key="savepoint_path", value=path)

    def _pushed_path(self, context: Context) -> str | None:
        ti: Any = context["ti"]
        path: str | None = ti.xcom_pull(
            task_ids=ti.task_id, key="savepoint_path", map_indexes=getattr(ti, "map_index", -1)
        )
        return path

    def _until_ended(self, job: FollowedJob, path: str | None) -> str | None:
        """Wait, here or in the triggerer, until the job has ended.

        :param path: the savepoint that it stops with.
        :return: that path.
        """
        if not self.wait_for_completion:
            return path
        self.log.info("Waiting until %s has ended, for %g s at most", job, self.stop_timeout)
        if self.deferrable:
            self._defer(job, path)
        return self._wait(job, path, self.stop_timeout)

    def _defer(self, job: FollowedJob, path: str | None) -> None:
        from airflow_provider_dinky.triggers.job_end import JobEndTrigger

        self.defer(
            trigger=JobEndTrigger(
                job.to_dict(),
                dinky_conn_id=self.dinky_conn_id,
                until=self._pace().now() + self.stop_timeout,
                refresh=self._can_refresh,
            ),
            method_name="execute_complete",
            kwargs={"job": job.to_dict(), "savepoint_path": path, "refresh": self._can_refresh},
            timeout=timedelta(seconds=self.stop_timeout + BACKSTOP),
        )

    def _wait(self, job: FollowedJob, path: str | None, timeout: float) -> str | None:
        from airflow_provider_dinky.operations.stop import wait_for_end

        pace = self._pace()
        steps = wait_for_end(
            self.hook.config, job, refresh=self._can_refresh, until=pace.now() + timeout, now=pace.now
        )
        return self._finish(job, path, self.hook.client.run(steps, sleep=pace.sleep))

    def _finish(self, job: FollowedJob, path: str | None, end: JobEnd) -> str | None:
        with_path = f". Its savepoint is {path}" if path else ""
        if end.has_ended:
            self.log.info("%s has ended: %s%s", job, end.status, with_path)
            return path
        if end.is_unknown:
            return self._is_unknown(job, path)
        raise JobTimeoutError(
            f"connection '{self.dinky_conn_id}': Dinky was asked to stop {job}, which is still {end} after "
            f"{self.stop_timeout:g} s{with_path}. It may stop yet: look at it in Flink before another job of the task "
            "is started; a retry of this task waits again"
        )

    def _is_unknown(self, job: FollowedJob, path: str | None) -> str | None:
        if not self._is_gone(job):
            with_path = f" Its savepoint is {path}." if path else ""
            self.log.warning(
                "%s is UNKNOWN, so its end cannot be waited for.%s Check its Flink cluster before another job of the "
                "task is started",
                job,
                with_path,
            )
        return path

    def _is_gone(self, job: FollowedJob) -> bool:
        """Whether Flink does not know an UNKNOWN job any more; says so."""
        from airflow_provider_dinky.operations.inspect_job import confirm_gone

        steps = confirm_gone(self.hook.config, job.job_instance_id, job.job_id, job.job_manager_address)
        seen = self.hook.client.run(steps, sleep=self._pace().sleep)
        if seen.status.is_final or seen.is_gone:
            self.log.warning("%s has ended: %s", job, seen.status if seen.status.is_final else seen.reason)
            return True
        self.log.warning("%s is %s: %s", job, seen.status, seen.reason)
        return False
