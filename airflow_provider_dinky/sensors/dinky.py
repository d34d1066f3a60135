# SPDX-License-Identifier: Apache-2.0
"""The sensors: one waits for a job, the other for its health."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dinky._compat import (
    BaseOperatorLink,
    Context,
    default_deferrable,
    left_of_execution_timeout,
    was_rescheduled,
)
from airflow_provider_dinky.exceptions import (
    FINAL_ERRORS,
    DinkyFinalError,
    DinkyTaskError,
    JobEndedError,
    JobFailedError,
    is_final,
)
from airflow_provider_dinky.followed import FollowedJob, describe_failure, dinky_url, hasty
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.facts import JobFacts
from airflow_provider_dinky.jobs.follower import MAX_OUTAGE, Follower
from airflow_provider_dinky.jobs.kept import restore, to_json
from airflow_provider_dinky.jobs.next_step import Next
from airflow_provider_dinky.jobs.wait_log import state_line
from airflow_provider_dinky.links.dinky import DinkyJobLink
from airflow_provider_dinky.parameters import choice, seconds
from airflow_provider_dinky.sensors.base import DinkySensor, PokeMemory
from airflow_provider_dinky.sensors.health import JobHealthSensor

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import Steps
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.client.status import JobStatus

__all__ = ["JobHealthSensor", "JobStatusSensor"]


class JobStatusSensor(DinkySensor):
    """Waits until a job is done or up; a job that failed fails the sensor, and says why.

    Either ``job_instance_id`` names the job, or ``dinky_task_id`` with ``newer_than_job_instance_id``: then the first
    job of the task newer than that one is waited for, so that yesterday's FINISHED is never taken for today's.

    :param job_instance_id: Dinky's id of the run, for instance what SubmitTaskOperator returns. Templated.
    :param dinky_task_id: Dinky's id of the task, instead. Templated.
    :param newer_than_job_instance_id: with ``dinky_task_id``: the newest run that is not meant; 0 for any. Templated.
    :param wait_for: ``finished``, or ``running``: every task of the job runs, where that is visible.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param unknown_timeout: seconds a job may be UNKNOWN (Dinky has lost sight of it) before the sensor fails.
    :param max_outage: seconds without any answer of Dinky's after which the sensor fails. Before Airflow 3.3 nothing
        is kept between two pokes in reschedule mode: there the sensor's ``timeout`` counts instead of both.
    :param job_manager_address: ``host:port`` of Flink's job manager, to ask it whether the job's tasks run on an
        anonymous connection that allows Flink REST; Dinky tells it to signed-in users only. Templated.
    :param poke_interval: seconds between two looks at the job.

    Returns the job instance id (XCom).
    """

    template_fields: Sequence[str] = (
        "job_instance_id",
        "dinky_task_id",
        "newer_than_job_instance_id",
        "dinky_conn_id",
        "job_manager_address",
    )
    operator_extra_links: Sequence[BaseOperatorLink] = (DinkyJobLink(),)

    def __init__(
        self,
        *,
        job_instance_id: int | str | None = None,
        dinky_task_id: int | str | None = None,
        newer_than_job_instance_id: int | str | None = None,
        wait_for: str = "finished",
        dinky_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool | None = None,
        unknown_timeout: float = 600.0,
        max_outage: float = MAX_OUTAGE,
        job_manager_address: str | None = None,
        poke_interval: float | timedelta = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if (job_instance_id is None) == (dinky_task_id is None):
            raise ValueError("give either job_instance_id or dinky_task_id")
        if dinky_task_id is not None and newer_than_job_instance_id is None:
            raise ValueError(
                "dinky_task_id needs newer_than_job_instance_id, or an old job may be taken for the awaited one; "
                "0 takes any"
            )
        self.job_instance_id = job_instance_id
        self.dinky_task_id = dinky_task_id
        self.newer_than_job_instance_id = newer_than_job_instance_id
        self.wait_for = str(choice("wait_for", wait_for, ("running", "finished")))
        self.dinky_conn_id = dinky_conn_id
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.unknown_timeout = seconds("unknown_timeout", unknown_timeout)
        self.max_outage = seconds("max_outage", max_outage)
        self.job_manager_address = job_manager_address
        if self.deferrable:
            # Of a triggerer that looks all the time all its triggers would suffer.
            seconds("poke_interval", self.poke_interval)
        self._seen: FollowedJob | None = None
        self._event: dict[str, Any] | None = None
        self._follower: Follower | None = None
        self._remembered: PokeMemory | None = None

    def execute(self, context: Context) -> int:
        """Look once; then wait in the triggerer, or poke."""
        with self.hook:
            super().execute(context)
        return self._job.job_instance_id

    def execute_complete(self, context: Context, event: dict[str, Any]) -> int:
        """Go on after the trigger has seen the job where it was awaited, or could not read it any more."""
        # What the trigger has seen counts as a poke, so that Airflow treats both alike.
        self._event = event
        return self.execute(context)

    def _look(self, context: Context) -> bool:
        """One look at the job.

        :raises JobFailedError: it will not get there any more, and why.
        """
        if self._event is not None:
            event, self._event = self._event, None
            return self._after_event(context, event)
        follower = self._follower = self._follower or self._begin(context)
        self._ask(context, follower)
        for line in follower.lines(self._name()):
            self.log.info(line)
        if self._remembered is not None:
            job = None if self._seen is None else self._seen.to_dict()
            self._remembered.keep({"job": job, "follower": to_json(follower)})
        if follower.next is Next.FAILED:
            raise self._failure(self._job, follower.facts())
        if follower.next is Next.UNREADABLE:
            raise self._unreadable(follower.unreadable, is_final(follower.problem))
        if follower.next is Next.DONE:
            return True
        if self.deferrable:
            self._defer(context, follower.status)
        return False

    def _begin(self, context: Context) -> Follower:
        memory = self._remembered = self._memory(context)
        follower = Follower(
            WaitFor(self.wait_for),
            self._clock(),
            unknown_timeout=self.unknown_timeout,
            max_outage=self.max_outage,
            answered=memory.forgets and was_rescheduled(context),
        )

        def take(kept: dict[str, Any]) -> None:
            job = kept["job"]
            restore(follower, kept["follower"])
            self._seen = None if job is None else FollowedJob.from_dict(job)

        if memory.restore(take) and self._seen is not None:
            self._link(context, self._seen)
        return follower

    def _ask(self, context: Context, follower: Follower) -> None:
        from airflow_provider_dinky.operations.inspect_job import sees_flink

        address = self.job_manager_address or None
        follower.allow(sees_flink(self.hook.config, address))
        found = self.hook.client.run(self._look_steps(follower))
        if found is not None and self._seen is None:
            self._announce(context, FollowedJob(found.dinky_task_id, found.id, found.job_id, address))

    def _look_steps(self, follower: Follower) -> Steps[JobInstance | None]:
        from airflow_provider_dinky.operations.inspect_job import look, look_for_newer

        config, address = self.hook.config, self.job_manager_address or None
        job_instance_id = self._job_instance_id()
        if job_instance_id is not None:
            job = self._seen or FollowedJob(None, job_instance_id, None, address)
            return look(config, follower, job, self._clock)
        task_id = self._checked("dinky_task_id", self.dinky_task_id)
        return look_for_newer(config, follower, task_id, self._newer_than(), address, self._clock)

    def _after_event(self, context: Context, event: dict[str, Any]) -> bool:
        if event.get("kind") != "state":
            raise self._unreadable(event.get("error"), event.get("error_type") in FINAL_ERRORS)
        facts = JobFacts.from_event(event)
        task_id = None if self.dinky_task_id is None else self._checked("dinky_task_id", self.dinky_task_id)
        job = FollowedJob(
            task_id, int(event["job_instance_id"]), event.get("job_id"), self.job_manager_address or None
        )
        self._announce(context, job, is_news=False)
        self.log.info(state_line(str(job), facts.status))
        is_done = facts.is_done(WaitFor(self.wait_for))
        if is_done is None:
            self._defer(context, facts.status)
        if not is_done:
            raise self._failure(job, facts)
        return True

    def _defer(self, context: Context, status: JobStatus | None) -> NoReturn:
        from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

        seen, left = self._seen, left_of_execution_timeout(context, self)
        by_task = self.dinky_task_id is not None and seen is None
        self.defer(
            trigger=JobStatusTrigger(
                self._job_instance_id(),
                dinky_task_id=seen.dinky_task_id
                if seen is not None
                else (self._checked("dinky_task_id", self.dinky_task_id) if by_task else None),
                status=None if status is None else str(status),
                newer_than_job_instance_id=self._newer_than() if by_task else None,
                dinky_conn_id=self.dinky_conn_id,
                wait_for=self.wait_for,
                poll_interval=self.poke_interval,
                unknown_timeout=self.unknown_timeout,
                max_outage=self.max_outage,
                job_id=None if seen is None else seen.job_id,
                job_manager_address=self.job_manager_address or None,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=min(self.timeout, self.timeout if left is None else left)),
        )

    @property
    def _job(self) -> FollowedJob:
        if self._seen is not None:
            return self._seen
        return FollowedJob(None, self._checked("job_instance_id", self.job_instance_id))

    def _job_instance_id(self) -> int | None:
        if self._seen is not None:
            return self._seen.job_instance_id
        if self.job_instance_id is None:
            return None
        return self._checked("job_instance_id", self.job_instance_id)

    def _newer_than(self) -> int:
        given = self.newer_than_job_instance_id
        # A task that never ran has no newest run: None, of the task that looked it up, or 0.
        if given is None or str(given).strip() in ("", "0", "None"):
            return 0
        return self._checked("newer_than_job_instance_id", given)

    def _checked(self, name: str, value: Any) -> int:
        from airflow_provider_dinky.hooks.dinky import checked_id

        return checked_id(value, name, self.dinky_conn_id)

    def _announce(self, context: Context, job: FollowedJob, *, is_news: bool = True) -> None:
        self._seen = job
        if is_news and not (self._remembered is not None and self._remembered.forgets):
            url = dinky_url(self.hook.config.base_url, job.job_instance_id)
            self.log.info("Waiting for %s of job instance %s: %s", self.wait_for, job.job_instance_id, url)
        self._link(context, job)

    def _link(self, context: Context, job: FollowedJob) -> None:
        # Airflow deletes the XComs of a task that it has rescheduled.
        ti: Any = context["ti"]
        url = dinky_url(self.hook.config.base_url, job.job_instance_id)
        ti.xcom_push(key=DinkyJobLink.xcom_key, value=url)

    def _failure(self, job: FollowedJob, facts: JobFacts) -> JobFailedError:
        text = describe_failure(self.hook, job, facts.status, facts.error, **facts.details())
        # A newer job of a task may do better; the one that was named will not.
        has_ended = facts.status.is_final or facts.gone
        return (JobEndedError if self.job_instance_id is not None and has_ended else JobFailedError)(text)

    def _unreadable(self, why: str | None, is_final: bool) -> DinkyTaskError:
        return (DinkyFinalError if is_final else DinkyTaskError)(
            f"connection '{self.dinky_conn_id}': {self._name()} could not be followed: {why}"
        )

    def _timed_out(self, context: Context) -> str:
        state = self._last_state()
        return (
            f"connection '{self.dinky_conn_id}': {self._name()} {state} and not {self.wait_for} after "
            f"{self._limit(context)}"
        )

    def _last_state(self) -> str:
        """How the job is, for the text of a time-out; one quick look that may fail."""
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.retry import HASTY

        follower = Follower(WaitFor.SUBMITTED, self._clock())
        try:
            with self.hook.client.with_patience(hasty(self.hook.config), HASTY) as client:
                client.run(self._look_steps(follower))
        except DinkyError as error:
            follower.no_answer(error, self._clock())
        if follower.status is not None:
            return f"is {follower.status}"
        return "cannot be looked at" if follower.unreadable else "is not there"

    def _name(self) -> str:
        if self._seen is not None:
            return str(self._seen)
        if self.dinky_task_id is None:
            return f"job instance {self.job_instance_id}"
        return f"a job of Dinky task {self.dinky_task_id} newer than instance {self._newer_than()}"
