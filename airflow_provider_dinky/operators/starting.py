# SPDX-License-Identifier: Apache-2.0
"""What the operators that start a job share: what it starts with, and what is checked before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import Context, run_key, state_store
from airflow_provider_dinky.exceptions import DinkyTaskError, RivalJobError
from airflow_provider_dinky.followed import look_anew
from airflow_provider_dinky.operators.following import FollowingOperator
from airflow_provider_dinky.parameters import choice, path_of, variables_of, whole_number

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance, SubmitResult
    from airflow_provider_dinky.followed import FollowedJob
    from airflow_provider_dinky.intent import Intent
    from airflow_provider_dinky.resume_points import Resolved
    from airflow_provider_dinky.submission import Starter


class StartingOperator(FollowingOperator):
    """Base of the operators that start a job.

    SubmitTaskOperator and RestartTaskOperator spell its parameters out and explain them.
    """

    template_fields: Sequence[str] = (
        *FollowingOperator.template_fields,
        "savepoint_path",
        "variables",
        "job_manager_address",
    )
    template_fields_renderers = {"variables": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        savepoint_path: str | None = None,
        variables: Mapping[str, Any] | None = None,
        if_no_state: Literal["fail", "fresh"] = "fail",
        check_sql: bool = False,
        job_manager_address: str | None = None,
        result_limit: int = 1_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.savepoint_path = savepoint_path
        self.variables = variables
        self.if_no_state = choice("if_no_state", if_no_state, ("fail", "fresh"))
        self.check_sql = check_sql
        self.job_manager_address = job_manager_address
        self.result_limit = whole_number("result_limit", result_limit)

    def _check_view(self) -> None:
        """Whether checkpoints can be seen at all, before anything is started.

        :raises FlinkNotVisibleError: they cannot.
        """
        if self.wait_for == "checkpointed":
            from airflow_provider_dinky.checkpoints import check_visible

            check_visible(self.hook.config)

    def _given_variables(self) -> dict[str, Any] | None:
        return variables_of(self.variables, self.dinky_conn_id)

    def _given_path(self) -> str | None:
        return path_of(self.savepoint_path, self.dinky_conn_id)

    def _prepare(
        self,
        context: Context,
        dinky_task_id: int,
        variables: Mapping[str, Any] | None,
        *,
        stops_a_job: bool = False,
    ) -> str | None:
        """What comes before anything is touched: check the SQL, and find out where to resume from."""
        from airflow_provider_dinky.resume_points import resolve

        self._check(dinky_task_id, variables)
        stopped_with = self._stopped_before_the_clear(context, dinky_task_id)
        if stopped_with is not None:
            return stopped_with
        found = resolve(
            self.hook,
            dinky_task_id,
            self._given_path(),
            if_no_state=self.if_no_state,
            job_manager_address=self.job_manager_address,
        )
        if stops_a_job and found.lost_on_cancel:
            raise DinkyTaskError(
                f"connection '{self.dinky_conn_id}': {found.why}, but Flink deletes it when the job is stopped. "
                "Nothing was touched. Take a savepoint instead (savepoint_path=None), or let the job keep them "
                "(execution.checkpointing.externalized-checkpoint-retention)"
            )
        self._say_where_from(context, found)
        # A task that was killed meanwhile starts nothing any more.
        self._check_not_killed()
        return found.path

    def _stopped_before_the_clear(self, context: Context, dinky_task_id: int) -> str | None:
        """The savepoint that this task's own job was stopped with when it was killed, if it is the newest state.

        Only where "latest" or "latest-state" is asked for. With credentials Dinky's list has it, too.
        """
        from airflow_provider_dinky.intent import Journal
        from airflow_provider_dinky.resume_points import Resolved

        if self._given_path() not in ("latest", "latest-state"):
            return None
        kept = Journal(state_store(context), run_key(context)).before_the_clear()
        if kept is None or kept.stopped_with is None:
            return None
        newest = self.hook.get_latest_job_instance(dinky_task_id)
        if newest is None or newest.id != kept.job.get("job_instance_id"):
            return None
        path = kept.stopped_with
        why = f"{self._given_path()} is savepoint {path}: job instance {newest.id} was stopped with it before the clear"
        self._say_where_from(context, Resolved(path, "savepoint", why, True))
        return path

    def _from_last_job(self, context: Context, dinky_task_id: int, last: JobInstance | None) -> str | None:
        """Where to resume from though nobody gave a path: the newest state of the last job, if it has left some.

        :param last: the task's newest job instance, which does not run; None for none.
        :return: the path; None for a start without state.
        :raises DinkyTaskError: it has left some, or may have, and none is known; ``if_no_state`` is "fail".
        """
        from airflow_provider_dinky.operations.restore_point import last_job
        from airflow_provider_dinky.resume_points import resolve

        address = self.job_manager_address
        left = self.hook.client.run(last_job(self.hook.config, dinky_task_id, last, address))
        if not left.has_state:
            self.log.info("A start without state: %s", left.why)
            return None
        found = resolve(
            self.hook,
            dinky_task_id,
            "latest-state",
            if_no_state=self.if_no_state,
            job_manager_address=address,
            left_by=left.why,
        )
        level = self.log.info if found.path else self.log.warning
        level("Nothing of Dinky task %s runs: %s", dinky_task_id, left.why)
        self._say_where_from(context, found)
        return found.path

    def _say_where_from(self, context: Context, found: Resolved) -> None:
        if found.is_chosen:
            self.log.info("%s", found.why)
            point = {"path": found.path, "kind": found.kind, "why": found.why}
            self._push(context, {"resume_point": point})

    def _check(self, dinky_task_id: int, variables: Mapping[str, Any] | None) -> None:
        from airflow_provider_dinky.sql_check import check_sql

        if self.check_sql:
            check_sql(self.hook, dinky_task_id, variables)

    def _give_way(self, starter: Starter, result: SubmitResult, before: Intent | None = None) -> None:
        """Two runs that start the same task at once: the later job is stopped, and its task fails.

        :param result: what this run, in this try or an earlier one, has started.
        :param before: what was written down last before this try's submit.
        :raises RivalJobError: ours is the later job.
        """
        from airflow_provider_dinky.operations.concurrent import started_with

        if result.job_instance_id is None:
            return
        task_id, last = starter.dinky_task_id, starter.journal.last()
        since = min((entry.baseline for entry in (before, last) if entry is not None), default=None)
        job = self._started_job(task_id, result)
        earlier, later = self.hook.client.run(
            started_with(self.hook.config, task_id, job.job_instance_id, since)
        )
        if later:
            self.log.warning(
                "Beside %s, job instance %s of the same Dinky task was started at the same time; whoever started it is "
                "to give way",
                job,
                ", ".join(str(rival.id) for rival in later),
            )
        if not earlier:
            return
        if look_anew(self.hook, self.hook.get_job_instance(job.job_instance_id)).status.is_final:
            self.log.warning("Beside %s, which has ended, job instance %s runs", job, earlier[0].id)
            return
        others = ", ".join(f"job instance {rival.id}" for rival in earlier)
        taken = f". The savepoint taken before is {last.taken}" if last is not None and last.taken else ""
        raise RivalJobError(
            f"connection '{self.dinky_conn_id}': {job} was started beside {others}, which somebody else started at "
            f"the same time. {self._stop_later_one(job)}{taken}"
        )

    def _stop_later_one(self, job: FollowedJob) -> str:
        """Cancel our job; what was done, and whether it runs on where only Dinky could be asked to cancel it.

        An anonymous caller does not see which job Dinky cancels: the one that the task's row names. Of submits at the
        same time that need not be the newest.
        """
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.status import JobStatus
        from airflow_provider_dinky.operations.concurrent import RunningJob, still_running

        done, config = self._stop(job, "cancel"), self.hook.config
        if config.has_credentials or (config.allow_flink_rest and job.job_manager_address):
            return done
        ours = RunningJob(job.job_instance_id, job.job_id, JobStatus("RUNNING"))
        try:
            left = self.hook.client.run(still_running((ours,)), sleep=self._pace().sleep)
        except DinkyError as error:
            return f"{done}. Whether it has ended is not known: {error}"
        if not left:
            return done
        return (
            f"{done}. It runs on, {left[0].status}: Dinky cancels only the job that its task's row names, which after "
            f"submits at the same time may be another one. Cancel Flink job {job.job_id} in Flink, and see whether "
            "the other job still runs"
        )

    def _begin(self, context: Context, dinky_task_id: int, result: SubmitResult, **job: Any) -> int | None:
        """Go on with what was started: follow the job, or be done with plain SQL."""
        self._push(context, {"savepoint_path": result.savepoint_path})
        if result.is_plain_sql:
            self.log.info("Dinky task %s is plain SQL and done", dinky_task_id)
            if result.result is not None:
                self._push(context, {"result": result.rows(self.result_limit)})
            return None
        if result.job_instance_id is None:
            raise DinkyTaskError(
                f"connection '{self.dinky_conn_id}': Dinky has started Flink job {result.job_id} of Dinky task "
                f"{dinky_task_id}, but names no job instance, so it cannot be followed. Look into Flink whether it runs"
            )
        return self._follow(context, self._started_job(dinky_task_id, result, **job))
