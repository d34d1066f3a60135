# SPDX-License-Identifier: Apache-2.0
"""Operators: start, restart, cancel the job of a Dinky task, take its savepoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import AirflowSkipException, BaseOperator, Context
from airflow_provider_dinky.exceptions import DinkyTaskError, RivalJobError, as_airflow_errors
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.following import FollowingOperator
from airflow_provider_dinky.parameters import choice, path_of, variables_of

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance, SubmitResult
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.submission import Starter

IfRunning = Literal["fail", "skip", "attach", "restart", "submit"]
RestartMethod = Literal["auto", "endpoint", "steps"]


class SubmitTaskOperator(FollowingOperator):
    """Starts the job of a Dinky task, once for each run of the Airflow task, and follows it.

    Every submit carries a mark of the Airflow run. With a signed-in connection a retry finds the job that an earlier
    try has started by it, and follows that instead of starting another one. A task in plain SQL is done when the
    submit answers; its rows are the XCom ``result``.

    XCom: returns the job instance id (None for plain SQL); keys ``job_instance_id``, ``job_id``,
    ``job_manager_address``, ``savepoint_path``, ``result``.

    :param savepoint_path: savepoint or checkpoint to resume from; None for a start without state. Templated.
    :param variables: values for ``${name}`` in the task's SQL ("fragment" must be on in the task). Templated.
    :param if_running: what to do if the task has an active job that is not ours (UNKNOWN counts as active):
        ``fail``, ``skip``, ``attach`` (follow it), ``restart`` (as RestartTaskOperator does), or ``submit``
        another one beside it.
    :param on_conflict: what to do if another job of the task was started just before ours, between our look and our
        submit: ``stop`` ours, or leave it; the Airflow task fails either way, and is not retried.
    :param result_limit: rows of a plain-SQL task that go into XCom.

    The other parameters are those of :class:`~airflow_provider_dinky.operators.following.FollowingOperator`.
    """

    template_fields: Sequence[str] = (*FollowingOperator.template_fields, "savepoint_path", "variables")
    template_fields_renderers = {"variables": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        savepoint_path: str | None = None,
        variables: Mapping[str, Any] | None = None,
        if_running: IfRunning = "fail",
        on_conflict: Literal["stop", "fail"] = "stop",
        result_limit: int = 1_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.savepoint_path = savepoint_path
        self.variables = variables
        self.if_running = choice("if_running", if_running, ("fail", "skip", "attach", "restart", "submit"))
        self.on_conflict = choice("on_conflict", on_conflict, ("stop", "fail"))
        self.result_limit = result_limit

    def execute(self, context: Context) -> int | None:
        """Find our job or start it, then follow it."""
        from airflow_provider_dinky.hooks.dinky import checked_id

        with as_airflow_errors(), self.hook:
            task_id = checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
            variables = variables_of(self.variables, self.dinky_conn_id)
            starter = self._starter(context, task_id)
            if self._restarts(starter):
                return self._restart(context, starter, variables)
            found = starter.find()
            if found is not None:
                self.log.info("Job instance %s was started by this run already", found.job_instance_id)
                return self._started(context, task_id, found)
            newest = self.hook.get_latest_job_instance(task_id)
            if newest is not None and newest.status.is_active:
                return self._is_running(context, starter, newest, variables)
            if newest is not None and self._stopped_by_an_earlier_try(starter, newest):
                return self._restart(context, starter, variables)
            return self._start(context, starter, newest, variables)

    @staticmethod
    def _restarts(starter: Starter) -> bool:
        """Whether an earlier try was about a restart (``if_running="restart"``), which has to be gone on with."""
        from airflow_provider_dinky.intent import RESTART_STEPS

        stored = starter.journal.last()
        return stored is not None and (stored.taken is not None or stored.step in RESTART_STEPS)

    def _stopped_by_an_earlier_try(self, starter: Starter, newest: JobInstance) -> bool:
        """Whether ``if_running="restart"`` has died between stop and start, where nothing could be written down."""
        from airflow_provider_dinky.savepoints import is_savepoint_of, newest_savepoint

        if self.if_running != "restart" or not starter.is_retry or starter.journal.is_kept:
            return False
        path = newest_savepoint(self.hook, starter.dinky_task_id)
        return path is not None and is_savepoint_of(path, newest.job_id)

    def _is_running(
        self,
        context: Context,
        starter: Starter,
        newest: JobInstance,
        variables: Mapping[str, Any] | None,
    ) -> int | None:
        task_id = starter.dinky_task_id
        running = (
            f"Dinky task {task_id} has an active job already: job instance {newest.id}, {newest.status}, "
            f"since {newest.create_time}"
        )
        if self.if_running == "skip":
            raise AirflowSkipException(running)
        if self.if_running == "attach":
            self._warn_of_differences(task_id, newest, variables)
            self.log.info("%s; following it", running)
            return self._follow(context, FollowedJob(task_id, newest.id, newest.job_id))
        if self.if_running == "restart":
            self.log.info("%s; restarting it", running)
            return self._restart(context, starter, variables)
        if self.if_running == "submit":
            self.log.warning("%s; starting another one beside it, as if_running='submit' says", running)
            return self._start(context, starter, newest, variables)
        raise DinkyTaskError(
            f"connection '{self.dinky_conn_id}': {running}. Nothing was started; if_running can be 'skip', "
            "'attach', 'restart' or 'submit'"
        )

    def _start(
        self,
        context: Context,
        starter: Starter,
        newest: JobInstance | None,
        variables: Mapping[str, Any] | None,
    ) -> int | None:
        baseline = newest.id if newest else 0
        result = starter.start(path_of(self.savepoint_path), variables or {}, baseline)
        if self.if_running != "submit" and result.job_instance_id is not None:
            self._give_way(self._started_job(starter.dinky_task_id, result), baseline)
        return self._started(context, starter.dinky_task_id, result)

    def _give_way(self, job: FollowedJob, baseline: int) -> None:
        from airflow_provider_dinky.rivals import find_rivals

        assert job.dinky_task_id is not None
        earlier, later = find_rivals(self.hook, job.dinky_task_id, job.job_instance_id, baseline)
        if later:
            self.log.warning(
                "Beside %s, job instance %s of the same Dinky task was started at the same time; whoever started it is "
                "to give way",
                job,
                ", ".join(str(rival.id) for rival in later),
            )
        if earlier:
            others = ", ".join(f"job instance {rival.id}" for rival in earlier)
            done = (
                self._stop(job, "cancel")
                if self.on_conflict == "stop"
                else f"{job} is left running, as on_conflict='fail' says"
            )
            raise RivalJobError(
                f"connection '{self.dinky_conn_id}': {job} was started beside {others}, which somebody else started at "
                f"the same time. {done}"
            )

    def _restart(self, context: Context, starter: Starter, variables: Mapping[str, Any] | None) -> int | None:
        from airflow_provider_dinky.restart import Restart

        result = Restart(self.hook, starter, path_of(self.savepoint_path), variables).run()
        return self._started(context, starter.dinky_task_id, result)

    def _started(self, context: Context, task_id: int, result: SubmitResult) -> int | None:
        self._push(context, {"savepoint_path": result.savepoint_path})
        if result.is_plain_sql:
            self.log.info("Dinky task %s is plain SQL and done", task_id)
            self._push(context, {"result": result.rows(self.result_limit)})
            return None
        return self._follow(context, self._started_job(task_id, result))

    def _warn_of_differences(
        self, task_id: int, newest: JobInstance, variables: Mapping[str, Any] | None
    ) -> None:
        if not self.hook.config.has_credentials or (variables is None and not self.savepoint_path):
            return
        from airflow_provider_dinky.client import calls

        history = self.hook.client.send(calls.list_history(task_id))
        entry = next((entry for entry in history if entry.id == newest.history_id), None)
        if entry is None:
            return
        if variables is not None and {k: str(v) for k, v in entry.variables.items()} != {
            k: str(v) for k, v in variables.items()
        }:
            self.log.warning("Job instance %s runs with other variables than this task gives", newest.id)
        path = path_of(self.savepoint_path)
        if path and (entry.config_json is None or entry.config_json.save_point_path != path):
            self.log.warning("Job instance %s was not started from %s", newest.id, path)


class RestartTaskOperator(FollowingOperator):
    """Restarts the job of a Dinky task from a savepoint, and never leaves it down silently.

    Without a path: takes a savepoint, stops the job and resumes from it; with one: stops the job and resumes from
    that. If the new start fails, the job is started again from the savepoint just taken, and the Airflow task fails
    with both reasons; if the savepoint fails, nothing is touched. A job that Dinky lost sight of (UNKNOWN) is never
    restarted. On a task that does not run, restart is a plain start.

    XCom: as SubmitTaskOperator; ``savepoint_path`` is what the new job was started from.

    :param savepoint_path: savepoint to resume from; None takes a new one. Templated.
    :param variables: for the new job; None takes over those of the running one, where Dinky shows them (signed in).
        Templated.
    :param method: ``endpoint`` is Dinky's own restartTask; ``steps`` does the same in steps of our own; ``auto``
        takes the endpoint where that can do the whole job: signed in, no variables, no path.
    :param stop_timeout: seconds the old job may take to end.

    The other parameters are those of :class:`~airflow_provider_dinky.operators.following.FollowingOperator`.
    """

    template_fields: Sequence[str] = (*FollowingOperator.template_fields, "savepoint_path", "variables")
    template_fields_renderers = {"variables": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        savepoint_path: str | None = None,
        variables: Mapping[str, Any] | None = None,
        method: RestartMethod = "auto",
        stop_timeout: float = 180.0,
        result_limit: int = 1_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.savepoint_path = savepoint_path
        self.variables = variables
        self.method = choice("method", method, ("auto", "endpoint", "steps"))
        self.stop_timeout = stop_timeout
        self.result_limit = result_limit

    def execute(self, context: Context) -> int | None:
        """Restart, then follow the new job."""
        from airflow_provider_dinky.hooks.dinky import checked_id
        from airflow_provider_dinky.restart import Restart

        with as_airflow_errors(), self.hook:
            task_id = checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
            result = Restart(
                self.hook,
                self._starter(context, task_id),
                path_of(self.savepoint_path),
                variables_of(self.variables, self.dinky_conn_id),
                self.method,
                self.stop_timeout,
            ).run()
            self._push(context, {"savepoint_path": result.savepoint_path})
            if result.is_plain_sql:
                self._push(context, {"result": result.rows(self.result_limit)})
                return None
            self.log.info("Restarted from %s", result.savepoint_path or "no savepoint")
            return self._follow(context, self._started_job(task_id, result))


class CancelTaskOperator(BaseOperator):
    """Stops the newest job of a Dinky task; a job that has ended already is fine.

    With a savepoint the job is stopped with it (Flink's stop-with-savepoint), never by Dinky's cancel with savepoint,
    which cancels without one when the savepoint fails, and says it worked.

    XCom: returns the path of the savepoint, or None; key ``savepoint_path``.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param with_savepoint: stop with a savepoint.
    :param force: cancel even if Dinky has lost the job's cluster.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = ("dinky_task_id", "dinky_conn_id")
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        with_savepoint: bool = False,
        force: bool = True,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dinky_task_id = dinky_task_id
        self.with_savepoint = with_savepoint
        self.force = force
        self.dinky_conn_id = dinky_conn_id

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

    def execute(self, context: Context) -> str | None:
        """Stop the job, if there is one."""
        from airflow_provider_dinky.hooks.dinky import checked_id

        with as_airflow_errors(), self.hook:
            task_id = checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
            newest = self.hook.get_latest_job_instance(task_id)
            if newest is None or newest.status.is_final:
                was = f"job instance {newest.id} is {newest.status}" if newest else "it never ran"
                self.log.info("Dinky task %s has no job to stop: %s", task_id, was)
                return None
            path = self._stop(task_id, newest)
        if path:
            ti: Any = context["ti"]
            ti.xcom_push(key="savepoint_path", value=path)
        return path

    def _stop(self, task_id: int, newest: JobInstance) -> str | None:
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.pace import Pace
        from airflow_provider_dinky.savepoints import take_savepoint

        if self.with_savepoint:
            path = take_savepoint(self.hook, task_id, "stop", Pace())
            self.log.info("Dinky stops job instance %s; its savepoint is %s", newest.id, path)
            return path
        try:
            self.hook.cancel_task(task_id, force=self.force)
        except DinkyError as error:
            if not error.outcome_unknown:
                raise
            now = self.hook.refresh_job_instance(newest.id)
            raise DinkyTaskError(f"{error}\nJob instance {newest.id} is {now.status} now") from error
        self.log.info("Dinky was asked to cancel job instance %s", newest.id)
        return None


class SavepointTaskOperator(BaseOperator):
    """Takes a savepoint of the running job of a Dinky task.

    XCom: returns the path of the savepoint; key ``savepoint_path``.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param savepoint_type: ``trigger`` lets the job run on; ``stop`` and ``cancel`` end it with the savepoint.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = ("dinky_task_id", "dinky_conn_id", "savepoint_type")
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        savepoint_type: Literal["trigger", "stop", "cancel"] = "trigger",
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dinky_task_id = dinky_task_id
        self.savepoint_type = savepoint_type
        self.dinky_conn_id = dinky_conn_id

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

    def execute(self, context: Context) -> str:
        """Take the savepoint."""
        from airflow_provider_dinky.hooks.dinky import checked_id
        from airflow_provider_dinky.pace import Pace
        from airflow_provider_dinky.savepoints import take_savepoint

        with as_airflow_errors(), self.hook:
            task_id = checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
            path = take_savepoint(self.hook, task_id, self.savepoint_type, Pace())
        self.log.info("Savepoint of Dinky task %s: %s", task_id, path)
        ti: Any = context["ti"]
        ti.xcom_push(key="savepoint_path", value=path)
        return path
