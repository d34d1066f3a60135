# SPDX-License-Identifier: Apache-2.0
"""Starting the job of a Dinky task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import AirflowSkipException, Context
from airflow_provider_dinky.exceptions import (
    DinkyTaskError,
    JobRunsAlreadyError,
    as_airflow_errors,
)
from airflow_provider_dinky.followed import CancelOnKill, FollowedJob
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.following import WaitForName
from airflow_provider_dinky.operators.starting import StartingOperator
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import HistoryEntry, JobInstance
    from airflow_provider_dinky.jobs.gone import UnknownJob
    from airflow_provider_dinky.operations.concurrent import CurrentJobs, RunningJob
    from airflow_provider_dinky.submission import Starter

IfRunning = Literal["fail", "skip", "attach", "submit"]


class SubmitTaskOperator(StartingOperator):
    """Starts the job of a Dinky task, once for each run of the Airflow task, and follows it.

    Every submit carries a mark of the Airflow run. With a signed-in connection a retry finds the job that an earlier
    try has started by it, and follows that instead of starting another one. A task in plain SQL is done when the
    submit answers; its rows are the XCom ``result``.

    XCom: returns the job instance id (None for plain SQL); keys ``job_instance_id``, ``job_id``,
    ``job_manager_address``, ``savepoint_path``, ``result``, and with ``savepoint_path="latest..."`` ``resume_point``:
    ``path``, ``kind`` and ``why`` of what was chosen.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param savepoint_path: savepoint or checkpoint to resume from, or one of ``latest`` (the newest savepoint that Dinky
        knows), ``latest-checkpoint`` (the newest retained checkpoint of the task's last job) and ``latest-state`` (the
        newer of the two); None starts without state. Templated.
    :param variables: values for ``${name}`` in the task's SQL ("fragment" must be on in the task). Templated.
    :param if_running: what to do if the task has an active job that is not ours: ``fail``, ``skip``, ``attach``
        (follow it), or ``submit`` another one beside it.
    :param if_unknown: what to do if the task's newest job is UNKNOWN and its Flink cluster cannot be reached, so that
        it may run: ``fail``, or ``start`` a new one. One that Flink does not know any more has ended.
    :param stop_timeout: seconds that a job of this task, which is stopped since the task was cleared, may take to end
        before ``if_running`` decides. Only with ``cancel_on_kill``.
    :param if_no_state: what to do if ``savepoint_path="latest..."`` finds nothing: ``fail``, or start ``fresh``,
        without state.
    :param check_sql: let Dinky check the task's SQL before anything is stopped or started.
    :param wait_for: ``submitted`` (Dinky accepted it), ``running`` (it is up), ``checkpointed`` (it is up and has
        completed its first checkpoint) or ``finished`` (it is done).
    :param deferrable: wait in the triggerer instead of on a worker; None takes ``[operators] default_deferrable``.
    :param poll_interval: seconds between two looks at the job.
    :param timeout: seconds, or a timedelta, after which waiting is given up and the task fails; None waits as long as
        Airflow lets it (with ``checkpointed``: 900 s). What becomes of the job then is up to ``cancel_on_kill``.
    :param unknown_timeout: seconds a job may be UNKNOWN (Dinky has lost sight of it) before the task fails.
    :param cancel_on_kill: what becomes of a job that this task started when the task is killed or times out:
        None leaves it running and says how to stop it, ``cancel`` cancels it, ``savepoint`` stops it with one.
    :param job_manager_address: ``host:port`` of Flink's job manager, to ask it on an anonymous connection that allows
        Flink REST; Dinky tells it to signed-in users only. Templated.
    :param result_limit: rows of a plain-SQL task that go into XCom.
    :param lineage_sql: whether the task's SQL is reported to OpenLineage, beside the tables it reads and writes;
        secrets in it are masked.
    """

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        savepoint_path: str | None = None,
        variables: Mapping[str, Any] | None = None,
        if_running: IfRunning = "fail",
        if_unknown: Literal["fail", "start"] = "fail",
        stop_timeout: float = 180.0,
        if_no_state: Literal["fail", "fresh"] = "fail",
        check_sql: bool = False,
        wait_for: WaitForName = "running",
        deferrable: bool | None = None,
        poll_interval: float = 10.0,
        timeout: float | timedelta | None = None,
        unknown_timeout: float = 600.0,
        cancel_on_kill: CancelOnKill = None,
        job_manager_address: str | None = None,
        result_limit: int = 1_000,
        lineage_sql: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dinky_task_id=dinky_task_id,
            dinky_conn_id=dinky_conn_id,
            savepoint_path=savepoint_path,
            variables=variables,
            if_no_state=if_no_state,
            check_sql=check_sql,
            wait_for=wait_for,
            deferrable=deferrable,
            poll_interval=poll_interval,
            timeout=timeout,
            unknown_timeout=unknown_timeout,
            cancel_on_kill=cancel_on_kill,
            job_manager_address=job_manager_address,
            result_limit=result_limit,
            lineage_sql=lineage_sql,
            **kwargs,
        )
        if if_running == "restart":  # type: ignore[comparison-overlap]
            raise ValueError(
                "if_running='restart' is no longer there: use RestartTaskOperator, which starts the job if none runs"
            )
        self.if_running = choice("if_running", if_running, ("fail", "skip", "attach", "submit"))
        self.if_unknown = choice("if_unknown", if_unknown, ("fail", "start"))
        self.stop_timeout = seconds("stop_timeout", stop_timeout)

    def execute(self, context: Context) -> int | None:
        """Find our job or start it, then follow it."""
        with as_airflow_errors(), self.hook:
            task_id, variables = self._checked_task_id(), self._given_variables()
            self._check_view()
            starter = self._starter(context, task_id)
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
            if self.if_running == "submit":
                return self._start_beside(context, starter, variables)
            return self._start_unless_active(context, starter, variables)

    def _start_beside(
        self, context: Context, starter: Starter, variables: Mapping[str, Any] | None
    ) -> int | None:
        newest = self.hook.get_latest_job_instance(starter.dinky_task_id)
        if newest is not None and newest.status.is_active:
            self.log.warning(
                "Dinky task %s has an active job already: job instance %s, %s; starting another one beside it, as "
                "if_running='submit' says",
                starter.dinky_task_id,
                newest.id,
                newest.status,
            )
        return self._start(context, starter, newest, variables)

    def _start_unless_active(
        self, context: Context, starter: Starter, variables: Mapping[str, Any] | None
    ) -> int | None:
        from airflow_provider_dinky.operations.concurrent import current_jobs

        task_id, pace = starter.dinky_task_id, self._pace()
        look = partial(current_jobs, self.hook.config, task_id, self.job_manager_address)
        jobs = self.hook.client.run(look(), sleep=pace.sleep)
        if self._has_ended_after_the_clear(starter, jobs):
            jobs = self.hook.client.run(look(), sleep=pace.sleep)
        if jobs.not_visible is not None:
            self.log.info(
                "Not looked at, since connection '%s' is anonymous: %s. If one of them runs, the new job will run "
                "beside it",
                self.dinky_conn_id,
                jobs.not_visible,
            )
        if jobs.newest is not None and jobs.unknown is not None:
            self._let_unknown_through(starter, jobs.newest, jobs.unknown)
        if jobs.active is not None and jobs.active.status != "UNKNOWN":
            return self._is_running(context, starter, jobs.active, variables)
        return self._start(context, starter, jobs.newest, variables)

    def _has_ended_after_the_clear(self, starter: Starter, jobs: CurrentJobs) -> bool:
        """Whether the active job was this task's own, of before it was cleared, and has ended within ``stop_timeout``.

        Airflow has it stopped (``cancel_on_kill``) while the new try begins already.
        """
        from airflow_provider_dinky.operations.after_clear import is_of_earlier_generation

        job = jobs.active or jobs.ended
        if (
            self.cancel_on_kill is None
            or job is None
            or job.job_instance_id is None
            or job.status == "UNKNOWN"
        ):
            return False
        is_ours = is_of_earlier_generation(
            self.hook.config, starter.journal, starter.run_key, job.job_instance_id
        )
        if not self.hook.client.run(is_ours):
            return False
        has_ended = jobs.active is not None and self._wait_for_end(starter.dinky_task_id, job)
        if (has_ended or jobs.active is None) and self.cancel_on_kill == "savepoint":
            self._say_that_state_is_left(starter.dinky_task_id, job)
        return has_ended

    def _wait_for_end(self, task_id: int, job: RunningJob) -> bool:
        from airflow_provider_dinky.operations.stop import can_refresh, wait_for_end

        self.log.info(
            "%s was started by this task before it was cleared; waiting up to %g s for its end, as it is stopped by "
            "cancel_on_kill='%s'",
            job,
            self.stop_timeout,
            self.cancel_on_kill,
        )
        pace, config = self._pace(), self.hook.config
        address = job.job_manager_address or self.job_manager_address
        end = self.hook.client.run(
            wait_for_end(
                config,
                FollowedJob(task_id, job.job_instance_id or 0, job.job_id, address),
                refresh=self.hook.client.run(can_refresh(config, task_id)),
                until=pace.now() + self.stop_timeout,
                now=pace.now,
            ),
            sleep=pace.sleep,
        )
        return end.has_ended

    def _say_that_state_is_left(self, task_id: int, job: RunningJob) -> None:
        """Without ``savepoint_path`` the savepoint that the job was stopped with is not used; best effort."""
        from airflow_provider_dinky.savepoints import is_savepoint_of, newest_savepoint

        if self._given_path() is not None:
            return
        path = newest_savepoint(self.hook, task_id)
        if path is None or not is_savepoint_of(path, job.job_id):
            return
        self.log.warning(
            "%s, which this task has started before it was cleared, was stopped with savepoint %s. The new job does "
            "not resume from it, since savepoint_path is None; 'latest-state' would",
            job,
            path,
        )

    def _let_unknown_through(self, starter: Starter, newest: JobInstance, unknown: UnknownJob) -> None:
        """An UNKNOWN job lets a start through if Flink does not know it any more, or ``if_unknown`` says so.

        :raises DinkyTaskError: its cluster cannot be reached.
        """
        from airflow_provider_dinky.client.java import noted_cause

        cause = noted_cause(unknown.error)
        noted = f" ({self.hook.config.redact(cause)})" if cause else ""
        job = f"Job instance {newest.id} of Dinky task {starter.dinky_task_id}"
        is_unknown = f"{job} is UNKNOWN: {unknown.reason}{noted}"
        if unknown.is_gone or self.if_unknown == "start":
            as_told = "" if unknown.is_gone else ", as if_unknown='start' says"
            self.log.warning(
                "%s. A new job is started%s. %s",
                is_unknown,
                as_told,
                self._newest_state(starter.dinky_task_id),
            )
            return
        asks = (
            ""
            if self.hook.config.has_credentials
            else " To have Flink asked whether it knows the job, sign in, or allow Flink REST and give "
            "job_manager_address."
        )
        raise self._active_job_error(
            starter,
            f"{is_unknown}. Nothing was started. Bring the cluster back and retry: once Flink answers that it does not "
            f"know the job, a start goes ahead.{asks} If you know that the job does not run, if_unknown='start' starts "
            "a new one",
        )

    def _newest_state(self, dinky_task_id: int) -> str:
        """What state of the task there is to go on from, for the log; best effort."""
        from airflow_provider_dinky.client.errors import DinkyError

        try:
            known = self.hook.get_known_state(dinky_task_id, self.job_manager_address)
        except DinkyError as error:
            return f"Its newest state is not known: {error}"
        if known.newest is None:
            return f"Its newest state is not known: {known.why}"
        newest = f"{known.newest.kind} {known.newest.path}"
        return f"Its newest state is {newest}; savepoint_path='latest-state' resumes from it"

    def _is_running(
        self,
        context: Context,
        starter: Starter,
        active: RunningJob,
        variables: Mapping[str, Any] | None,
    ) -> int | None:
        task_id = starter.dinky_task_id
        since = f", since {active.created}" if active.created else ""
        running = f"Dinky task {task_id} has an active job already: {active}, {active.status}{since}"
        if self.if_running == "skip":
            raise AirflowSkipException(running)
        if self.if_running == "attach" and active.job_instance_id is not None:
            self.log.info("%s; following it", running)
            return self._follow(context, self._attached(task_id, active.job_instance_id, active, variables))
        raise self._active_job_error(
            starter,
            f"{running}. Nothing was started; if_running can be 'skip', 'attach' or 'submit', and RestartTaskOperator "
            "restarts the job",
        )

    def _active_job_error(self, starter: Starter, what: str) -> Exception:
        # Where nothing is kept and nothing can be proved, a retry could take that job for its own.
        is_sure = self.hook.config.has_credentials or starter.journal.is_kept
        return (DinkyTaskError if is_sure else JobRunsAlreadyError)(
            f"connection '{self.dinky_conn_id}': {what}"
        )

    def _start(
        self,
        context: Context,
        starter: Starter,
        newest: JobInstance | None,
        variables: Mapping[str, Any] | None,
    ) -> int | None:
        baseline = newest.id if newest else 0
        path = self._state_to_start_from(context, starter.dinky_task_id, newest, variables)
        before = starter.journal.last()
        result = starter.start(path, variables or {}, baseline)
        if self.if_running != "submit":
            self._give_way(starter, result, before)
        return self._begin(context, starter.dinky_task_id, result)

    def _state_to_start_from(
        self, context: Context, task_id: int, newest: JobInstance | None, variables: Mapping[str, Any] | None
    ) -> str | None:
        if self.if_running != "attach" or self._given_path() != "latest-state":
            return self._prepare(context, task_id, variables)
        # To keep a task running is to start it where it is down, as a restart does.
        self._check(task_id, variables)
        path = self._from_last_job(context, task_id, newest)
        self._check_not_killed()
        return path

    def _attached(
        self, task_id: int, job_instance_id: int, active: RunningJob, variables: Mapping[str, Any] | None
    ) -> FollowedJob:
        """The job that somebody else has started; signed in, with its place in Flink and a word where it differs."""
        from airflow_provider_dinky.client import calls
        from airflow_provider_dinky.client.errors import DinkyError

        address = self.job_manager_address or active.job_manager_address
        if self.hook.config.has_credentials:
            try:
                detail = self.hook.client.send(calls.get_job_info_detail(job_instance_id))
            except DinkyError as error:
                # Nothing of it is needed to follow the job.
                self.log.info("Dinky shows no details of job instance %s: %s", job_instance_id, error)
            else:
                address = address or detail.job_manager_address
                if detail.history is not None:
                    self._warn_of_differences(job_instance_id, detail.history, variables)
        return FollowedJob(task_id, job_instance_id, active.job_id, address)

    def _warn_of_differences(
        self, job_instance_id: int, entry: HistoryEntry, variables: Mapping[str, Any] | None
    ) -> None:
        if variables is not None and {k: str(v) for k, v in entry.variables.items()} != {
            k: str(v) for k, v in variables.items()
        }:
            self.log.warning(
                "Job instance %s runs with other variables than this task gives", job_instance_id
            )
        from airflow_provider_dinky.resume_points import WANTED

        path = self._given_path()
        if path and path not in WANTED and entry.savepoint_path != path:
            self.log.warning("Job instance %s was not started from %s", job_instance_id, path)
