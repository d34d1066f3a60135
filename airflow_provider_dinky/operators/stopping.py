# SPDX-License-Identifier: Apache-2.0
"""Stopping the job of a Dinky task, or only taking its savepoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import Context
from airflow_provider_dinky.exceptions import DinkyTaskError, as_airflow_errors
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.ending import StoppingOperator
from airflow_provider_dinky.parameters import savepoint_type_of

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.operations.concurrent import RunningJob


class CancelTaskOperator(StoppingOperator):
    """Stops the job of a Dinky task, and returns when it has ended; a job that has ended already is fine.

    Dinky stops only the task's newest job. Others of the task that run behind it, and can be seen, are cancelled in
    Flink by their own ids: through Dinky with credentials, else where the connection allows Flink's REST API. If some
    run on, the Airflow task fails and names them; with ``with_savepoint`` they are only named.

    With a savepoint the job is stopped with it (Flink's stop-with-savepoint), never by Dinky's cancel with savepoint,
    which cancels without one when the savepoint fails, and says it worked. If an earlier try has stopped the job, a
    retry returns the path of its savepoint, or fails where that is not known.

    Dinky answers while the job still runs, and calls it RUNNING for some seconds more. This waits for its end: with
    credentials Dinky is made to ask Flink at each look. A job in UNKNOWN cannot be waited for: a warning says so.

    XCom: returns the path of the savepoint, or None; key ``savepoint_path``, which is there before the waiting begins.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param with_savepoint: stop with a savepoint.
    :param force: cancel even if Dinky has lost the job's cluster.
    :param wait_for_completion: return when the job has ended; False returns when Dinky has accepted the request.
    :param stop_timeout: seconds the job may take to end; after that the task fails, and says what still runs.
    :param deferrable: wait in the triggerer instead of on a worker; default: ``[operators] default_deferrable``.
    :param job_manager_address: ``host:port`` of Flink's job manager, to ask it on an anonymous connection that allows
        Flink REST; Dinky tells it to signed-in users only. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        with_savepoint: bool = False,
        force: bool = True,
        wait_for_completion: bool = True,
        stop_timeout: float = 180.0,
        deferrable: bool | None = None,
        job_manager_address: str | None = None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dinky_task_id=dinky_task_id,
            wait_for_completion=wait_for_completion,
            stop_timeout=stop_timeout,
            deferrable=deferrable,
            job_manager_address=job_manager_address,
            dinky_conn_id=dinky_conn_id,
            **kwargs,
        )
        self.with_savepoint = with_savepoint
        self.force = force

    def execute(self, context: Context) -> str | None:
        """Stop the job, if there is one, and those of the task that run behind it."""
        with as_airflow_errors(), self.hook:
            task_id = self._checked_task_id()
            newest = self._newest(task_id)
            has_ended = self._has_ended(newest)
            job, path = None, None
            if self.with_savepoint:
                stopped = self._stop_with_savepoint(context, task_id, "stop", newest, has_ended)
                if stopped is not None:
                    job, path = self._publish_path(context, task_id, stopped), stopped.path
            if job is None and newest is not None and not has_ended:
                self._announce_stop(context, task_id, newest.id)
                self._cancel(task_id, newest)
                job = self._job(task_id, newest.id, newest.job_id)
            if newest is not None:
                self._stop_older(task_id, newest)
            if job is not None:
                return self._until_ended(job, path)
            was = f"job instance {newest.id} is {newest.status}" if newest else "it never ran"
            self.log.info("Dinky task %s has no job to stop: %s", task_id, was)
            return None

    def _stop_older(self, task_id: int, newest: JobInstance) -> None:
        """Stop the jobs of the task that Dinky does not take for its current one: it stops only that.

        :raises DinkyTaskError: some run on.
        """
        from airflow_provider_dinky.operations.concurrent import older_jobs, still_running
        from airflow_provider_dinky.operations.stop import can_refresh

        config, run, sleep = self.hook.config, self.hook.client.run, self._pace().sleep
        older = run(older_jobs(config, task_id, newest, self.job_manager_address), sleep=sleep)
        running = older.running
        if running and not config.has_credentials:
            running = run(still_running(running), sleep=sleep)
        if older.not_visible:
            self.log.info("Not looked at, as they are not visible here: %s", older.not_visible)
        left = [job for job in running if not self._cancel_older(job)]
        if left:
            names = ", ".join(f"{job} ({job.status})" for job in left)
            why = (
                "no savepoint of such a job can be taken through Dinky, and without one it is not cancelled here"
                if self.with_savepoint
                else "they could not be cancelled in Flink"
            )
            raise DinkyTaskError(
                f"connection '{self.dinky_conn_id}': Dinky task {task_id} still has jobs that run: {names}. Dinky "
                f"stops only the newest, job instance {newest.id}; {why}. Stop them in Flink"
            )
        if running and self.wait_for_completion:
            self._can_refresh = run(can_refresh(config, task_id))
            for job in running:
                self._wait(self._job(task_id, job.job_instance_id or 0, job.job_id), None, self.stop_timeout)

    def _cancel_older(self, job: RunningJob) -> bool:
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.operations.stop import cancel_in_flink

        # Without an id of Dinky's only the name in Flink is the task's, which proves nothing.
        if self.with_savepoint or job.job_instance_id is None:
            return False
        address = job.job_manager_address or self.job_manager_address
        try:
            asked = self.hook.client.run(cancel_in_flink(self.hook.config, job.job_id, address))
        except DinkyError as error:
            self.log.warning("Whether %s was cancelled is not known: %s", job, error)
            return error.outcome_unknown and self.wait_for_completion
        if asked:
            self.log.warning("Flink was asked to cancel %s, which ran behind the task's newest job", job)
        return asked

    def _cancel(self, task_id: int, newest: JobInstance) -> None:
        from airflow_provider_dinky.client.errors import DinkyError

        try:
            self.hook.cancel_task(task_id, force=self.force)
        except DinkyError as error:
            if not error.outcome_unknown:
                raise
            if self.wait_for_completion:
                self.log.warning(
                    "Whether job instance %s was cancelled is not known yet: %s", newest.id, error
                )
                return
            now = self.hook.refresh_job_instance(newest.id)
            raise DinkyTaskError(f"{error}\nJob instance {newest.id} is {now.status} now") from error
        self.log.info("Dinky was asked to cancel job instance %s", newest.id)


class SavepointTaskOperator(StoppingOperator):
    """Takes a savepoint of the running job of a Dinky task.

    With ``stop`` and ``cancel`` it returns when the job has ended, as CancelTaskOperator does.

    XCom: returns the path of the savepoint; key ``savepoint_path``, which is there before the waiting begins.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param savepoint_type: ``trigger`` lets the job run on; ``stop`` and ``cancel`` end it with the savepoint.
        Templated.
    :param wait_for_completion: with ``stop`` and ``cancel``: return when the job has ended; False returns when Dinky
        has answered.
    :param stop_timeout: seconds the job may take to end; after that the task fails, and names the savepoint.
    :param deferrable: wait in the triggerer instead of on a worker; default: ``[operators] default_deferrable``.
    :param job_manager_address: ``host:port`` of Flink's job manager, to ask it on an anonymous connection that allows
        Flink REST; Dinky tells it to signed-in users only. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = (*StoppingOperator.template_fields, "savepoint_type")

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        savepoint_type: Literal["trigger", "stop", "cancel"] = "trigger",
        wait_for_completion: bool = True,
        stop_timeout: float = 180.0,
        deferrable: bool | None = None,
        job_manager_address: str | None = None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dinky_task_id=dinky_task_id,
            wait_for_completion=wait_for_completion,
            stop_timeout=stop_timeout,
            deferrable=deferrable,
            job_manager_address=job_manager_address,
            dinky_conn_id=dinky_conn_id,
            **kwargs,
        )
        self.savepoint_type = savepoint_type

    def execute(self, context: Context) -> str | None:
        """Take the savepoint."""
        with as_airflow_errors(), self.hook:
            task_id = self._checked_task_id()
            kind = savepoint_type_of(self.savepoint_type, self.dinky_conn_id)
            newest = self._newest(task_id)
            has_ended = self._has_ended(newest)
            if kind == "trigger":
                return self._trigger(context, task_id, newest, has_ended)
            stopped = self._stop_with_savepoint(context, task_id, kind, newest, has_ended)
            if stopped is None:
                raise self._no_running_job(task_id, newest)
            return self._until_ended(self._publish_path(context, task_id, stopped), stopped.path)

    def _trigger(self, context: Context, task_id: int, newest: JobInstance | None, has_ended: bool) -> str:
        from airflow_provider_dinky.savepoints import take_savepoint

        if has_ended:
            raise self._no_running_job(task_id, newest)
        path = take_savepoint(self.hook, task_id, "trigger", self._pace()).path
        self.log.info("Savepoint of Dinky task %s: %s", task_id, path)
        self._push_path(context, path)
        return path

    def _no_running_job(self, task_id: int, newest: JobInstance | None) -> DinkyTaskError:
        was = f"job instance {newest.id} is {newest.status}" if newest else "it never ran as a Flink job"
        return DinkyTaskError(
            f"connection '{self.dinky_conn_id}': Dinky task {task_id} has no running job to take a savepoint of: "
            f"{was}. Dinky was not asked for one"
        )
