# SPDX-License-Identifier: Apache-2.0
"""Starting the job of a Dinky task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import AirflowSkipException, Context
from airflow_provider_dinky.exceptions import (
    DinkyTaskError,
    JobRunsAlreadyError,
    as_airflow_errors,
)
from airflow_provider_dinky.followed import FollowedJob, look_anew
from airflow_provider_dinky.operators.starting import StartingOperator
from airflow_provider_dinky.parameters import choice

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import HistoryEntry, JobInstance
    from airflow_provider_dinky.submission import Starter

IfRunning = Literal["fail", "skip", "attach", "restart", "submit"]


class SubmitTaskOperator(StartingOperator):
    """Starts the job of a Dinky task, once for each run of the Airflow task, and follows it.

    Every submit carries a mark of the Airflow run. With a signed-in connection a retry finds the job that an earlier
    try has started by it, and follows that instead of starting another one. A task in plain SQL is done when the
    submit answers; its rows are the XCom ``result``.

    XCom: returns the job instance id (None for plain SQL); keys ``job_instance_id``, ``job_id``,
    ``job_manager_address``, ``savepoint_path``, ``result``, and with ``savepoint_path="latest..."`` ``resume_point``:
    ``path``, ``kind`` and ``why`` of what was chosen.

    :param if_running: what to do if the task has an active job that is not ours (UNKNOWN counts as active):
        ``fail``, ``skip``, ``attach`` (follow it), ``restart`` (as RestartTaskOperator does), or ``submit``
        another one beside it.
    :param on_conflict: what to do if another job of the task was started just before ours, between our look and our
        submit: ``stop`` ours, or leave it; the Airflow task fails either way, and is not retried.

    The other parameters are those of :class:`~airflow_provider_dinky.operators.starting.StartingOperator`;
    ``savepoint_path=None`` is a start without state.
    """

    def __init__(
        self,
        *,
        if_running: IfRunning = "fail",
        on_conflict: Literal["stop", "fail"] = "stop",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.if_running = choice("if_running", if_running, ("fail", "skip", "attach", "restart", "submit"))
        self.on_conflict = choice("on_conflict", on_conflict, ("stop", "fail"))

    def execute(self, context: Context) -> int | None:
        """Find our job or start it, then follow it."""
        from airflow_provider_dinky.rivals import find_older

        with as_airflow_errors(), self.hook:
            task_id, variables = self._checked_task_id(), self._given_variables()
            self._check_view()
            starter = self._starter(context, task_id)
            if self._restarts(starter):
                return self._restart(context, starter, variables)
            # Whoever is not stopped by a job that runs has no reason to take it for this run's own.
            found = starter.find(guess=self.if_running in ("fail", "skip"))
            if found is not None and starter.guessed:
                job = self._started_job(task_id, found)
                return self._follow(context, replace(job, started=False))
            if found is not None:
                self.log.info("Job instance %s was started by this run already", found.job_instance_id)
                if self.if_running != "submit":
                    self._give_way(starter, found)
                return self._begin(context, task_id, found)
            newest = self.hook.get_latest_job_instance(task_id)
            if newest is not None and newest.status.is_active:
                # Dinky is known to leave RUNNING behind after a job has ended, and lags behind by some seconds.
                newest = look_anew(self.hook, newest)
            if newest is not None and newest.status.is_active:
                return self._is_running(context, starter, newest, variables)
            older = find_older(self.hook, task_id, newest) if newest is not None else None
            if older is not None:
                return self._is_running(context, starter, older, variables)
            if newest is not None and self._stopped_by_an_earlier_try(starter, newest):
                return self._restart(context, starter, variables)
            return self._start(context, starter, newest, variables)

    def _restarts(self, starter: Starter) -> bool:
        """Whether an earlier try was about a restart (``if_running="restart"``), which has to be gone on with.

        One before a clear counts, too: it may have stopped the job, with a savepoint that is not to be lost.
        """
        stored = starter.journal.last()
        if stored is None and self.if_running == "restart":
            stored = starter.journal.before_the_clear()
        return stored is not None and stored.is_of_a_restart

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
            self.log.info("%s; following it", running)
            return self._follow(context, self._attached(task_id, newest, variables))
        if self.if_running == "restart":
            self.log.info("%s; restarting it", running)
            return self._restart(context, starter, variables)
        if self.if_running == "submit":
            self.log.warning("%s; starting another one beside it, as if_running='submit' says", running)
            return self._start(context, starter, newest, variables)
        # Where nothing is kept and nothing can be proved, a retry could take that job for its own.
        is_sure = self.hook.config.has_credentials or starter.journal.is_kept
        raise (DinkyTaskError if is_sure else JobRunsAlreadyError)(
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
        path = self._prepare(context, starter.dinky_task_id, variables)
        before = starter.journal.last()
        result = starter.start(path, variables or {}, baseline)
        if self.if_running != "submit":
            self._give_way(starter, result, before)
        return self._begin(context, starter.dinky_task_id, result)

    def _attached(
        self, task_id: int, newest: JobInstance, variables: Mapping[str, Any] | None
    ) -> FollowedJob:
        """The job that somebody else has started; signed in, with its place in Flink and a word where it differs."""
        from airflow_provider_dinky.client import calls

        address = self.job_manager_address
        if self.hook.config.has_credentials:
            detail = self.hook.client.send(calls.get_job_info_detail(newest.id))
            address = address or detail.job_manager_address
            if detail.history is not None:
                self._warn_of_differences(newest, detail.history, variables)
        return FollowedJob(task_id, newest.id, newest.job_id, address)

    def _warn_of_differences(
        self, newest: JobInstance, entry: HistoryEntry, variables: Mapping[str, Any] | None
    ) -> None:
        if variables is not None and {k: str(v) for k, v in entry.variables.items()} != {
            k: str(v) for k, v in variables.items()
        }:
            self.log.warning("Job instance %s runs with other variables than this task gives", newest.id)
        from airflow_provider_dinky.resume_points import WANTED

        path = self._given_path()
        if (
            path
            and path not in WANTED
            and (entry.config_json is None or entry.config_json.save_point_path != path)
        ):
            self.log.warning("Job instance %s was not started from %s", newest.id, path)
