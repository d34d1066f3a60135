# SPDX-License-Identifier: Apache-2.0
"""Restarting the job of a Dinky task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow_provider_dinky._compat import Context
from airflow_provider_dinky.exceptions import as_airflow_errors
from airflow_provider_dinky.followed import CancelOnKill, FollowedJob
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.following import WaitForName
from airflow_provider_dinky.operators.starting import StartingOperator
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.client.status import JobStatus
    from airflow_provider_dinky.restart import Method
    from airflow_provider_dinky.submission import Starter


def _method(method: Any) -> Method:
    if method == "auto":
        raise ValueError(
            "method='auto' is gone: leave method out, which is 'steps', or give 'endpoint' for Dinky's own restart"
        )
    checked: Method = choice("method", method, ("steps", "endpoint"))
    return checked


_NEWEST_STATE = ("latest", "latest-state")
"""What a savepoint that is taken just now answers best."""


class RestartTaskOperator(StartingOperator):
    """Restarts the job of a Dinky task from a savepoint, and never leaves it down silently.

    Without a path: takes a savepoint, stops the job and resumes from it; with one: stops the job and resumes from
    that. If the new start fails, the job is started again from the savepoint just taken, and the Airflow task fails
    with both reasons; if the savepoint fails, nothing is touched. A job that Dinky cannot see (UNKNOWN) and that may
    run is not restarted.

    A task that does not run is started from the newest state of its last job (``latest-state``), which the log names;
    if none is known, or none is visible, ``if_no_state`` decides. Without state it is started only if it never ran, or
    if its last job is FINISHED and no savepoint ended it: a batch.

    With ``wait_for="checkpointed"`` this is a deployment in one task: check the SQL (``check_sql``), savepoint, stop,
    start from it, wait until the first checkpoint is complete; if the new job fails before, or takes longer than
    ``timeout``, it is stopped and the job is started again from the savepoint.

    XCom: as SubmitTaskOperator; ``savepoint_path`` is what the new job was started from.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param savepoint_path: savepoint or checkpoint to resume from, or one of ``latest`` (the newest savepoint that Dinky
        knows), ``latest-checkpoint`` (the newest retained checkpoint of the task's last job) and ``latest-state`` (the
        newer of the two). None takes a new savepoint, and so do ``latest`` and ``latest-state`` while the job runs,
        since there is no newer state than that. Templated.
    :param variables: values for ``${name}`` in the task's SQL ("fragment" must be on in the task). Templated.
        None takes over those of the running job, where Dinky shows them (signed in).
    :param method: ``steps`` stops the job with a savepoint, waits for its end and submits from the path; ``endpoint``
        is Dinky's own restartTask, which carries no variables, and starts a job that does not run without state.
    :param stop_timeout: seconds the old job may take to end.
    :param if_unknown: what to do if the task's newest job is UNKNOWN and its Flink cluster cannot be reached, so that
        it may run: ``fail``, or ``start`` a new one from its newest state. One that Flink does not know any more has
        ended.
    :param if_no_state: what to do if ``savepoint_path="latest..."`` finds nothing, or the newest state of a job that
        does not run any more is not known: ``fail``, or start ``fresh``, without state.
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
        method: Method = "steps",
        stop_timeout: float = 180.0,
        if_unknown: Literal["fail", "start"] = "fail",
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
        self.method = _method(method)
        self.if_unknown = choice("if_unknown", if_unknown, ("fail", "start"))
        self.stop_timeout = seconds("stop_timeout", stop_timeout)

    def execute(self, context: Context) -> int | None:
        """Restart, then follow the new job."""
        with as_airflow_errors(), self.hook:
            self._check_view()
            starter = self._starter(context, self._checked_task_id())
            return self._restart(context, starter, self._given_variables())

    def _prepare_restart(
        self,
        context: Context,
        dinky_task_id: int,
        variables: Mapping[str, Any] | None,
        old: JobInstance | None,
        runs: bool,
    ) -> str | None:
        if runs and self._given_path() in _NEWEST_STATE:
            self._check(dinky_task_id, variables)
            path = None
        else:
            path = self._prepare(context, dinky_task_id, variables, stops_a_job=runs)
        if old is not None and runs:
            self._announce_stop(context, dinky_task_id, old.id)
        return path

    def _newest_state(self, context: Context, dinky_task_id: int, last: JobInstance | None) -> str | None:
        # Who has asked for "latest..." has got its answer; Dinky's own restart of what does not run is a submit.
        if self._given_path() is not None or self.method == "endpoint":
            return None
        return self._from_last_job(context, dinky_task_id, last)

    def _restart(
        self,
        context: Context,
        starter: Starter,
        variables: Mapping[str, Any] | None,
    ) -> int | None:
        from airflow_provider_dinky.intent import Step
        from airflow_provider_dinky.restart import Restart

        task_id, before = starter.dinky_task_id, starter.journal.last()
        result = Restart(
            self.hook,
            starter,
            variables,
            self.stop_timeout,
            self.job_manager_address,
            method=self.method,
            prepare=partial(self._prepare_restart, context, task_id, variables),
            from_last_job=partial(self._newest_state, context, task_id),
            if_unknown=self.if_unknown,
        ).run()
        self._give_way(starter, result, before)
        done = starter.journal.last()
        if done is None or done.step is not Step.STARTED or done.taken is None:
            return self._begin(context, task_id, result)
        self.log.info("Restarted from %s", result.savepoint_path or "no savepoint")
        return self._begin(context, task_id, result, before=done.baseline, back_to=done.taken)

    def _way_back(
        self, context: Context, job: FollowedJob, status: JobStatus, *, timed_out: bool = False
    ) -> Callable[[Exception], NoReturn] | None:
        """After a restart: stop the new job, and start again from the savepoint that the old one was stopped with."""
        from airflow_provider_dinky.new_start import NewStart

        # A job that Dinky lost sight of may run; one that was cancelled was cancelled by somebody.
        is_late = timed_out and status not in ("UNKNOWN", "CANCELED")
        is_bad = status == "FAILED" or is_late
        if not is_bad or self.wait_for == "finished" or job.before is None or job.back_to is None:
            return None
        starter = self._starter(context, self._checked_task_id())
        return partial(
            NewStart(
                self.hook, starter, self._given_variables(), self.stop_timeout, self.job_manager_address
            ).roll_back,
            job,
        )
