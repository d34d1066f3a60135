# SPDX-License-Identifier: Apache-2.0
"""The sensors: one waits for a job, the other for its health."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dinky._compat import (
    BaseOperatorLink,
    BaseSensorOperator,
    Context,
    default_deferrable,
)
from airflow_provider_dinky.client.errors import DinkyConnectionError
from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError, as_airflow_errors
from airflow_provider_dinky.followed import FollowedJob, describe_failure, dinky_url, look_anew
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.job import MAX_OUTAGE, Outcome, WaitFor, Watch, outcome
from airflow_provider_dinky.links.dinky import DinkyJobLink
from airflow_provider_dinky.log_lines import Talk, not_there_line, silence_line, state_line, unchanged_line
from airflow_provider_dinky.parameters import choice, seconds
from airflow_provider_dinky.sensors.health import JobHealthSensor
from airflow_provider_dinky.sensors.log_book import LogBook

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.client.status import JobStatus
    from airflow_provider_dinky.hooks.dinky import DinkyHook

__all__ = ["JobHealthSensor", "JobStatusSensor"]

_NOT_THERE: list[Any] = [None, "not there"]


class JobStatusSensor(BaseSensorOperator):
    """Waits until a job is done or up; a job that failed fails the sensor, and says why.

    Either ``job_instance_id`` names the job, or ``dinky_task_id`` with ``newer_than_job_instance_id``: then the first
    job of the task newer than that one is waited for, so that yesterday's FINISHED is never taken for today's.

    :param job_instance_id: Dinky's id of the run, for instance what SubmitTaskOperator returns. Templated.
    :param dinky_task_id: Dinky's id of the task, instead. Templated.
    :param newer_than_job_instance_id: with ``dinky_task_id``: the newest run that is not meant; 0 for any. Templated.
    :param wait_for: ``finished`` or ``running``.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param unknown_timeout: seconds a job may be UNKNOWN (Dinky has lost sight of it) before the sensor fails. In
        reschedule mode each poke is a process of its own, and the sensor's ``timeout`` counts instead.
    :param poke_interval: seconds between two looks at the job.

    Returns the job instance id (XCom).
    """

    template_fields: Sequence[str] = (
        "job_instance_id",
        "dinky_task_id",
        "newer_than_job_instance_id",
        "dinky_conn_id",
    )
    operator_extra_links: Sequence[BaseOperatorLink] = (DinkyJobLink(),)
    ui_color = "#e3f0fb"

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
        if self.deferrable:
            # Of a triggerer that looks all the time all its triggers would suffer.
            seconds("poke_interval", self.poke_interval)
        self._watch = Watch(WaitFor(self.wait_for), self.unknown_timeout)
        self._seen: JobInstance | None = None
        self._waits = False
        self._log_book: LogBook | None = None

    @cached_property
    def _talk(self) -> Talk:
        now = time.monotonic()
        silent_for = self._log_book.silent_for() if self._log_book else 0.0
        return Talk(said=now - silent_for, answered=now)

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

    def execute(self, context: Context) -> int:
        """Look once; then wait in the triggerer, or poke."""
        with self.hook:
            if not self.deferrable:
                super().execute(context)
            elif not self.poke(context):
                self._defer()
        assert self._seen is not None
        return self._seen.id

    def poke(self, context: Context) -> bool:
        """One look at the job.

        :raises JobFailedError: it will not get there any more, and why.
        """
        if self._log_book is None and self.mode == "reschedule":
            self._log_book = LogBook(context, rescheduled=True)
        with as_airflow_errors():
            try:
                instance = self._find()
            except DinkyConnectionError as error:
                return self._try_on(error)
            if instance is None:
                line = not_there_line(self._awaited())
                known = self._waits or self._has_said(_NOT_THERE)
                self._say(self._talk.hears(None if known else line, line, time.monotonic()), _NOT_THERE)
                self._waits = True
                return False
            if self._seen is None:
                self._announce(context, instance.id)
            before = self._watch.status
            if self._watch.observe(instance.status, time.monotonic()).refresh:
                instance = look_anew(self.hook, instance)
                self._watch.observe(instance.status, time.monotonic())
            self._seen = instance
            self._say_state(instance, before)
            if self._watch.verdict is Outcome.FAILED:
                raise self._failure(_followed(instance), instance.status, instance.error)
            return self._watch.verdict is Outcome.DONE

    def _say_state(self, instance: JobInstance, before: JobStatus | None) -> None:
        now, name, what = time.monotonic(), str(_followed(instance)), [instance.id, str(instance.status)]
        known = self._watch.status == before or self._has_said(what)
        lasts_for = max(now - self._watch.since, self._log_book.lasts_for(what) if self._log_book else 0.0)
        changed = None if known else state_line(name, instance.status)
        self._say(
            self._talk.hears(changed, unchanged_line(name, instance.status, lasts_for), now),
            what,
        )

    def _has_said(self, what: list[Any]) -> bool:
        """Whether an earlier poke, in another process, has said the same last."""
        said = self._log_book.said if self._log_book else None
        return said is not None and said.what == what

    def _say(self, lines: list[str], what: list[Any]) -> None:
        for line in lines:
            self.log.info(line)
        if lines and self._log_book is not None:
            self._log_book.note(what)

    def _try_on(self, error: DinkyConnectionError) -> bool:
        """Dinky did not answer: look again at the next poke, unless that goes on for too long.

        In reschedule mode each poke is a process of its own, and the sensor's ``timeout`` counts instead.
        """
        now = time.monotonic()
        if now - self._talk.answered >= MAX_OUTAGE:
            raise error
        if self._log_book is None:
            for line in self._talk.hears_nothing(error, now):
                self.log.info(line)
            return False
        book = self._log_book
        what = [book.said.what[0] if book.said else None, "no answer"]
        if book.is_due(what):
            self.log.info(silence_line(book.lasts_for(what), error))
            book.note(what)
        return False

    def execute_complete(self, context: Context, event: dict[str, Any]) -> int:
        """Go on after the trigger has seen the job where it was awaited, or given up."""
        from airflow_provider_dinky.client.status import JobStatus

        if event.get("kind") != "state":
            raise DinkyTaskError(
                f"connection '{self.dinky_conn_id}': {self._awaited()} could not be followed: {event.get('error')}"
            )
        status = JobStatus(event.get("status"))
        job = FollowedJob(self._dinky_task_id(), int(event["job_instance_id"]), event.get("job_id"))
        if self._seen is None:
            self._announce(context, job.job_instance_id)
        self.log.info(state_line(str(job), status))
        result = outcome(status, WaitFor(self.wait_for))
        if result is Outcome.WAIT:
            self._defer()
        if result is not Outcome.DONE:
            with as_airflow_errors(), self.hook:
                raise self._failure(job, status, event.get("error"))
        return job.job_instance_id

    def _find(self) -> JobInstance | None:
        job_instance_id = self._job_instance_id()
        if job_instance_id is not None:
            return self.hook.get_job_instance(job_instance_id)
        dinky_task_id = self._dinky_task_id()
        assert dinky_task_id is not None
        newest = self.hook.get_latest_job_instance(dinky_task_id)
        return newest if newest is not None and newest.id > self._newer_than() else None

    def _newer_than(self) -> int:
        from airflow_provider_dinky.hooks.dinky import checked_id

        given = self.newer_than_job_instance_id
        # A task that never ran has no newest run: None, of the task that looked it up, or 0.
        if given is None or str(given).strip() in ("", "0", "None"):
            return 0
        return checked_id(given, "newer_than_job_instance_id", self.dinky_conn_id)

    def _defer(self) -> NoReturn:
        from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

        seen = self._seen
        by_task = self.dinky_task_id is not None and seen is None
        self.defer(
            trigger=JobStatusTrigger(
                self._job_instance_id(),
                dinky_task_id=self._dinky_task_id(),
                status=None if seen is None else str(seen.status),
                newer_than_job_instance_id=self._newer_than() if by_task else None,
                dinky_conn_id=self.dinky_conn_id,
                wait_for=self.wait_for,
                poll_interval=self.poke_interval,
                unknown_timeout=self.unknown_timeout,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _job_instance_id(self) -> int | None:
        from airflow_provider_dinky.hooks.dinky import checked_id

        if self._seen is not None:
            return self._seen.id
        if self.job_instance_id is None:
            return None
        return checked_id(self.job_instance_id, "job_instance_id", self.dinky_conn_id)

    def _dinky_task_id(self) -> int | None:
        from airflow_provider_dinky.hooks.dinky import checked_id

        if self._seen is not None and self._seen.dinky_task_id is not None:
            return self._seen.dinky_task_id
        if self.dinky_task_id is None:
            return None
        return checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)

    def _announce(self, context: Context, job_instance_id: int) -> None:
        url = dinky_url(self.hook.config.base_url, job_instance_id)
        if self._is_new(job_instance_id):
            self.log.info("Waiting for %s of job instance %s: %s", self.wait_for, job_instance_id, url)
        # Airflow deletes the XComs of a task that it has rescheduled.
        ti: Any = context["ti"]
        ti.xcom_push(key=DinkyJobLink.xcom_key, value=url)

    def _is_new(self, job_instance_id: int) -> bool:
        """Whether no earlier poke has named the job in this log; where nobody remembers, its state is line enough."""
        book = self._log_book
        if book is None:
            return True
        return not book.forgets and (book.said is None or book.said.what[:1] != [job_instance_id])

    def _failure(self, job: FollowedJob, status: JobStatus, noted: str | None) -> JobFailedError:
        return JobFailedError(describe_failure(self.hook, job, status, noted))

    def _awaited(self) -> str:
        if self._seen is not None:
            return f"Job instance {self._seen.id}"
        if self.dinky_task_id is None:
            return f"Job instance {self.job_instance_id}"
        return f"A job of Dinky task {self.dinky_task_id} newer than instance {self._newer_than()}"


def _followed(instance: JobInstance) -> FollowedJob:
    return FollowedJob(instance.dinky_task_id, instance.id, instance.job_id)
