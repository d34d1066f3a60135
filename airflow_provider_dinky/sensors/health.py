# SPDX-License-Identifier: Apache-2.0
"""The sensor that checks whether a job is healthy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky._compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperatorLink,
    Context,
)
from airflow_provider_dinky.client.errors import (
    DinkyConnectionError,
    DinkyError,
    DinkyResponseError,
    FlinkNotVisibleError,
)
from airflow_provider_dinky.exceptions import JobUnhealthyError
from airflow_provider_dinky.followed import dinky_url
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.health import Finding, Limits, examine
from airflow_provider_dinky.jobs.wait_log import WaitLog
from airflow_provider_dinky.links.dinky import DinkyJobLink
from airflow_provider_dinky.parameters import seconds, whole_number
from airflow_provider_dinky.sensors.base import DinkySensor, PokeMemory

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance


class JobHealthSensor(DinkySensor):
    """Succeeds when a job is healthy: it runs, its last checkpoint is young, and it was restarted seldom.

    A job that is not healthy at the first look may be so at a later one: it is looked at until ``timeout``, and then
    the sensor fails with one sentence for each check that failed (or skips, with ``soft_fail``).

    Checkpoints and restarts are Flink's to tell: signed in, Dinky asks it. A connection without credentials needs
    ``allow_flink_rest`` and ``job_manager_address``. Ages are by Flink's own clock.

    :param dinky_task_id: Dinky's id of the task, whose newest job is looked at. Templated.
    :param job_instance_id: Dinky's id of one run, instead. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    :param max_checkpoint_age: seconds, or a timedelta, since the last checkpoint was complete; None not to look at it.
        Savepoints do not count. Give it some intervals of the job's checkpoints.
    :param max_restarts: how often Flink may have restarted the job within ``restarts_within``; None not to look at
        it. Flink remembers the newest 16 failures unless its ``web.exception-history-size`` says otherwise.
    :param restarts_within: seconds, or a timedelta.
    :param job_manager_address: ``host:port`` of the job manager; for a connection without credentials. Templated.
    :param timeout: seconds, or a timedelta, after which a job that is not healthy fails the sensor.
    :param poke_interval: seconds, or a timedelta, between two looks.

    Returns (XCom) ``{"job_instance_id", "healthy", "findings"}``, the findings as sentences.
    """

    template_fields: Sequence[str] = (
        "dinky_task_id",
        "job_instance_id",
        "dinky_conn_id",
        "job_manager_address",
    )
    operator_extra_links: Sequence[BaseOperatorLink] = (DinkyJobLink(),)

    def __init__(
        self,
        *,
        dinky_task_id: int | str | None = None,
        job_instance_id: int | str | None = None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        max_checkpoint_age: float | timedelta | None = None,
        max_restarts: int | None = None,
        restarts_within: float | timedelta = 3600.0,
        job_manager_address: str | None = None,
        timeout: float | timedelta = 300.0,
        poke_interval: float | timedelta = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        if (job_instance_id is None) == (dinky_task_id is None):
            raise ValueError("give either job_instance_id or dinky_task_id")
        self.dinky_task_id = dinky_task_id
        self.job_instance_id = job_instance_id
        self.dinky_conn_id = dinky_conn_id
        self.max_checkpoint_age = max_checkpoint_age
        self.max_restarts = None if max_restarts is None else whole_number("max_restarts", max_restarts)
        self.restarts_within = restarts_within
        self.job_manager_address = job_manager_address
        self._limits = Limits(
            None if max_checkpoint_age is None else seconds("max_checkpoint_age", max_checkpoint_age),
            max_restarts,
            seconds("restarts_within", restarts_within),
        )
        self._seen: JobInstance | None = None
        self._findings: tuple[Finding, ...] = ()
        self._remembered: PokeMemory | None = None
        self._wait_log = WaitLog(0.0)
        self._said: list[str] = []

    def execute(self, context: Context) -> dict[str, Any]:
        """Look until the job is healthy, or the time is up.

        :raises JobUnhealthyError: the time is up; says what is wrong.
        """
        with self.hook:
            try:
                super().execute(context)
            except AirflowSensorTimeout as error:
                raise JobUnhealthyError(self._describe()) from error
            except AirflowSkipException as error:
                if error.__cause__ is not None:
                    raise
                # The time is up, of which Airflow says less.
                raise AirflowSkipException(self._describe()) from error
        return {
            "job_instance_id": self._seen.id if self._seen is not None else None,
            "healthy": True,
            "findings": [finding.sentence for finding in self._findings],
        }

    def _look(self, context: Context) -> bool:
        """One look at the job.

        :raises DinkyError: it cannot be looked at, and waiting would not help.
        """
        try:
            findings = self._findings_now(context)
        except DinkyError as error:
            if not self._may_pass(error):
                raise
            findings = (Finding(False, f"It cannot be looked at: {error}"),)
        self._findings = findings
        self._say(context)
        return all(finding.ok for finding in findings)

    def _may_pass(self, error: DinkyError) -> bool:
        # As in the rules of following a job: a wrong address is no outage before Dinky has answered.
        return isinstance(error, DinkyConnectionError) or (
            isinstance(error, DinkyResponseError) and self._seen is not None
        )

    def _say(self, context: Context) -> None:
        """A line for each finding that is news, and one now and then while nothing changes."""
        memory = self._remembered
        if memory is None:
            memory = self._remembered = self._memory(context)
            self._wait_log = WaitLog(self._clock())
            memory.restore(self._recall)
        subject, now = self._subject(), self._clock()
        what = [subject, *(finding.news for finding in self._findings)]
        known = self._said if self._said[:1] == [subject] else []
        wrong = [finding for finding in self._findings if not finding.ok]
        if self._said == what:
            self._wait_log.unchanged(lambda name: _sentences(name, wrong), now)
        elif memory.forgets:
            if wrong:
                self._wait_log.news(lambda name: _sentences(name, wrong), now)
        else:
            for finding in self._findings:
                if finding.news not in known:
                    self._wait_log.news(lambda name, one=finding: _sentences(name, [one]), now)  # type: ignore[misc]
        for line in filter(None, self._wait_log.take(subject)):
            (self.log.warning if wrong else self.log.info)("%s", line)
        self._said = what
        memory.keep({"said": what, "log": self._wait_log.to_json()})

    def _recall(self, kept: dict[str, Any]) -> None:
        self._wait_log, self._said = WaitLog.from_json(kept["log"]), [str(one) for one in kept["said"]]

    def _findings_now(self, context: Context) -> tuple[Finding, ...]:
        instance = self._find()
        if instance is None:
            return examine(None, None, self._limits)
        if self._seen is None or self._seen.id != instance.id:
            ti: Any = context["ti"]
            ti.xcom_push(key=DinkyJobLink.xcom_key, value=dinky_url(self.hook.config.base_url, instance.id))
        self._seen = instance
        view, unseen = None, None
        if instance.status.is_active and self._limits.need_flink:
            try:
                view = self.hook.get_flink_view(instance.id, instance.job_id, self.job_manager_address)
            except FlinkNotVisibleError as error:
                if error.forbidden:
                    raise
                unseen = str(error)
        elif instance.status.is_active:
            # What Dinky says lags behind Flink.
            instance = self.hook.refresh_job_instance(instance.id)
        return examine(instance.status, view, self._limits, unseen)

    def _find(self) -> JobInstance | None:
        from airflow_provider_dinky.hooks.dinky import checked_id

        if self.job_instance_id is None:
            task_id = checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
            return self.hook.get_latest_job_instance(task_id)
        return self.hook.get_job_instance(
            checked_id(self.job_instance_id, "job_instance_id", self.dinky_conn_id)
        )

    def _describe(self) -> str:
        lines = [f"{self._subject()} is not healthy after {self.timeout:g} s:"]
        lines += [finding.sentence for finding in self._findings if not finding.ok]
        if self._seen is not None:
            lines.append(f"Dinky: {dinky_url(self.hook.config.base_url, self._seen.id)}")
        return "\n".join(lines)

    def _subject(self) -> str:
        if self._seen is None:
            named = f"instance {self.job_instance_id}" if self.job_instance_id is not None else "of"
            of_task = "" if self.dinky_task_id is None else f" Dinky task {self.dinky_task_id}"
            return f"Job {named}{of_task}"
        of_task = f" of Dinky task {self._seen.dinky_task_id}" if self._seen.dinky_task_id is not None else ""
        return f"Job instance {self._seen.id}{of_task}"


def _sentences(subject: str, findings: Sequence[Finding]) -> str:
    return f"{subject}: {'; '.join(finding.sentence for finding in findings)}" if findings else ""
