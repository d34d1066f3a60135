# SPDX-License-Identifier: Apache-2.0
"""Stopping the job of a Dinky task, or only taking its savepoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import Context, is_retry, run_key, state_store
from airflow_provider_dinky.exceptions import DinkyTaskError, as_airflow_errors
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.base import DinkyOperator
from airflow_provider_dinky.pace import Pace

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.stop_once import StopOnce


class StoppingOperator(DinkyOperator):
    """Base of the operators that may stop a job with a savepoint; a retry finds the savepoint of an earlier try."""

    def _stop_once(self, context: Context, dinky_task_id: int, kind: Literal["stop", "cancel"]) -> StopOnce:
        from airflow_provider_dinky.intent import Journal
        from airflow_provider_dinky.stop_once import StopOnce

        key = run_key(context)
        journal = Journal(state_store(context), key)
        return StopOnce(self.hook, dinky_task_id, kind, key, journal, is_retry(context), self._pace())

    def _pace(self) -> Pace:
        return Pace()


class CancelTaskOperator(StoppingOperator):
    """Stops the newest job of a Dinky task; a job that has ended already is fine.

    With a savepoint the job is stopped with it (Flink's stop-with-savepoint), never by Dinky's cancel with savepoint,
    which cancels without one when the savepoint fails, and says it worked. If an earlier try has stopped the job, a
    retry returns the path of its savepoint, or fails where that is not known.

    XCom: returns the path of the savepoint, or None; key ``savepoint_path``.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param with_savepoint: stop with a savepoint.
    :param force: cancel even if Dinky has lost the job's cluster.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        with_savepoint: bool = False,
        force: bool = True,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(dinky_task_id=dinky_task_id, dinky_conn_id=dinky_conn_id, **kwargs)
        self.with_savepoint = with_savepoint
        self.force = force

    def execute(self, context: Context) -> str | None:
        """Stop the job, if there is one."""
        with as_airflow_errors(), self.hook:
            task_id = self._checked_task_id()
            newest = self.hook.get_latest_job_instance(task_id)
            if newest is not None and newest.status.is_active:
                self._announce_stop(context, task_id, newest.id)
            path = self._stop_once(context, task_id, "stop").run(newest) if self.with_savepoint else None
            if path is not None:
                ti: Any = context["ti"]
                ti.xcom_push(key="savepoint_path", value=path)
            elif newest is None or newest.status.is_final:
                was = f"job instance {newest.id} is {newest.status}" if newest else "it never ran"
                self.log.info("Dinky task %s has no job to stop: %s", task_id, was)
            else:
                self._cancel(task_id, newest)
        return path

    def _cancel(self, task_id: int, newest: JobInstance) -> None:
        from airflow_provider_dinky.client.errors import DinkyError

        try:
            self.hook.cancel_task(task_id, force=self.force)
        except DinkyError as error:
            if not error.outcome_unknown:
                raise
            now = self.hook.refresh_job_instance(newest.id)
            raise DinkyTaskError(f"{error}\nJob instance {newest.id} is {now.status} now") from error
        self.log.info("Dinky was asked to cancel job instance %s", newest.id)


class SavepointTaskOperator(StoppingOperator):
    """Takes a savepoint of the running job of a Dinky task.

    XCom: returns the path of the savepoint; key ``savepoint_path``.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param savepoint_type: ``trigger`` lets the job run on; ``stop`` and ``cancel`` end it with the savepoint.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = (*DinkyOperator.template_fields, "savepoint_type")

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        savepoint_type: Literal["trigger", "stop", "cancel"] = "trigger",
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(dinky_task_id=dinky_task_id, dinky_conn_id=dinky_conn_id, **kwargs)
        self.savepoint_type = savepoint_type

    def execute(self, context: Context) -> str:
        """Take the savepoint."""
        from airflow_provider_dinky.client.errors import DinkyNotFoundError, DinkyRefusedError
        from airflow_provider_dinky.savepoints import take_savepoint

        kind, path = self.savepoint_type, None
        with as_airflow_errors(), self.hook:
            task_id = self._checked_task_id()
            if kind in ("stop", "cancel"):
                newest = self.hook.get_latest_job_instance(task_id)
                if newest is not None:
                    self._announce_stop(context, task_id, newest.id)
                path = self._stop_once(context, task_id, kind).run(newest)
            if path is None:
                try:
                    path = take_savepoint(self.hook, task_id, kind, self._pace()).path
                except DinkyNotFoundError:
                    raise
                except DinkyRefusedError as error:
                    raise DinkyTaskError(f"{error}{self._why(task_id)}") from error
        self.log.info("Savepoint of Dinky task %s: %s", task_id, path)
        ti: Any = context["ti"]
        ti.xcom_push(key="savepoint_path", value=path)
        return path

    def _why(self, task_id: int) -> str:
        """What Dinky does not say where the task has no running job; best effort."""
        from airflow_provider_dinky.client.errors import DinkyError

        try:
            newest = self.hook.get_latest_job_instance(task_id)
        except DinkyError:
            return ""
        if newest is not None and newest.status.is_active:
            return ""
        was = f"job instance {newest.id} is {newest.status}" if newest else "it never ran"
        return f". Dinky task {task_id} has no running job to take a savepoint of: {was}"
