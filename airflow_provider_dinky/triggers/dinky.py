# SPDX-License-Identifier: Apache-2.0
"""The trigger that follows a job while its Airflow task is deferred."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_dinky._compat import AirflowException, AirflowNotFoundException
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.errors import DinkyError, DinkyNotFoundError
from airflow_provider_dinky.client.retry import HASTY, NO_RETRY
from airflow_provider_dinky.followed import CancelOnKill, FollowedJob, hasty, stop_steps
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.job import Outcome, WaitFor, Watch

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInstance

EVENT_VERSION = 1


class JobStatusTrigger(BaseTrigger):
    """Polls one job until it is where it is awaited, and then yields one event.

    The event carries facts and no verdict: ``{"v": 1, "kind": "state", "job_instance_id", "job_id", "status",
    "since", "error"}``, or with ``"kind": "unreadable"`` why the state could not be read. ``since`` is for how many
    seconds the state has been seen. Trouble on the way is waited out.

    :param job_instance_id: Dinky's id of the job's run; None to wait for the newest one of ``dinky_task_id``.
    :param dinky_conn_id: the Airflow connection.
    :param wait_for: ``running`` or ``finished``.
    :param poll_interval: seconds between looks.
    :param unknown_timeout: seconds a job may be UNKNOWN before that is reported.
    :param max_outage: seconds without any answer after which the job counts as unreadable.
    :param dinky_task_id: the Dinky task it is a run of; needed for ``cancel_on_kill``, or to find the run.
    :param newer_than_job_instance_id: with a task and no run: the newest run that is not meant.
    :param cancel_on_kill: how to stop the job, which the task started, when a user ends the deferred task
        (Airflow 3.3 on); None leaves it alone.
    :param job_id: Flink's id of the job, and ``job_manager_address`` its job manager: for ``cancel_on_kill`` of a job
        that Dinky does not take for the task's current one any more, where the connection allows Flink REST.
    """

    def __init__(
        self,
        job_instance_id: int | None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        wait_for: str = "finished",
        poll_interval: float = 10.0,
        unknown_timeout: float = 600.0,
        max_outage: float = 1800.0,
        dinky_task_id: int | None = None,
        newer_than_job_instance_id: int | None = None,
        cancel_on_kill: CancelOnKill = None,
        job_id: str | None = None,
        job_manager_address: str | None = None,
    ) -> None:
        super().__init__()
        self.job_instance_id = job_instance_id
        self.dinky_conn_id = dinky_conn_id
        self.wait_for = wait_for
        self.poll_interval = poll_interval
        self.unknown_timeout = unknown_timeout
        self.max_outage = max_outage
        self.dinky_task_id = dinky_task_id
        self.newer_than_job_instance_id = newer_than_job_instance_id
        self.cancel_on_kill = cancel_on_kill
        self.job_id = job_id
        self.job_manager_address = job_manager_address

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "job_instance_id": self.job_instance_id,
                "dinky_conn_id": self.dinky_conn_id,
                "wait_for": self.wait_for,
                "poll_interval": self.poll_interval,
                "unknown_timeout": self.unknown_timeout,
                "max_outage": self.max_outage,
                "dinky_task_id": self.dinky_task_id,
                "newer_than_job_instance_id": self.newer_than_job_instance_id,
                "cancel_on_kill": self.cancel_on_kill,
                "job_id": self.job_id,
                "job_manager_address": self.job_manager_address,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is something to say."""
        try:
            config = await self._connection()
            async with AsyncDinkyClient(config, NO_RETRY) as client:
                yield TriggerEvent(await self._follow(client))
        except Exception as error:
            # An exception here would fail the Airflow task without a word of what is known of the job.
            if not isinstance(error, (DinkyError, AirflowException)):
                self.log.exception("The job cannot be followed any more")
            yield TriggerEvent(self._unreadable(str(error) or repr(error)))

    async def on_kill(self) -> None:
        """Stop the job if that was asked for; called when a user ends the deferred task."""
        if self.cancel_on_kill is None or self.job_instance_id is None:
            return
        job = FollowedJob(
            self.dinky_task_id, self.job_instance_id, self.job_id, self.job_manager_address, started=True
        )
        try:
            config = hasty(await self._read_config())
            async with AsyncDinkyClient(config, HASTY) as client:
                done = await client.run(stop_steps(job, self.cancel_on_kill, config))
            self.log.info("The task was ended: %s", done)
        except DinkyError as error:
            self.log.warning("The task was ended; whether %s was stopped is not known: %s", job, error)

    async def _connection(self) -> DinkyConfig:
        began = time.monotonic()
        while True:
            try:
                return await self._read_config()
            except (DinkyError, AirflowNotFoundException):
                raise
            except Exception as error:
                if time.monotonic() - began >= self.max_outage:
                    raise
                self.log.warning("The connection cannot be read, trying on: %s", error)
            await asyncio.sleep(self.poll_interval)

    async def _read_config(self) -> DinkyConfig:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        config: DinkyConfig = await sync_to_async(lambda: DinkyHook(self.dinky_conn_id).config)()
        return config

    async def _follow(self, client: AsyncDinkyClient) -> dict[str, Any]:
        watch = Watch(WaitFor(self.wait_for), self.unknown_timeout)
        answered = time.monotonic()
        while True:
            try:
                instance = await self._look(client)
                answered = time.monotonic()
                if instance is not None:
                    instance = await self._judge(client, watch, instance)
                    if watch.verdict in (Outcome.DONE, Outcome.FAILED):
                        return self._state(instance, time.monotonic() - watch.since)
            except DinkyNotFoundError:
                raise
            except DinkyError as error:
                silent = time.monotonic() - answered
                if silent >= self.max_outage:
                    return self._unreadable(f"no answer for {silent:.0f} s: {error}")
                self.log.warning("No answer, trying on: %s", error)
            await asyncio.sleep(self.poll_interval)

    async def _look(self, client: AsyncDinkyClient) -> JobInstance | None:
        if self.job_instance_id is not None:
            return await client.send(calls.get_job_instance(self.job_instance_id))
        assert self.dinky_task_id is not None
        newest = await client.send(calls.get_latest_job_instance(self.dinky_task_id))
        if newest is None or newest.id <= (self.newer_than_job_instance_id or 0):
            return None
        self.job_instance_id = newest.id
        return newest

    async def _judge(self, client: AsyncDinkyClient, watch: Watch, instance: JobInstance) -> JobInstance:
        verdict = watch.observe(instance.status, time.monotonic())
        if verdict.refresh and client.config.has_credentials:
            instance = (await client.send(calls.refresh_job_info_detail(instance.id))).instance
            verdict = watch.observe(instance.status, time.monotonic())
        if verdict.changed:
            self.log.info("State of job instance %s: %s", instance.id, instance.status)
        return instance

    def _state(self, instance: JobInstance, since: float) -> dict[str, Any]:
        return self._event("state", instance.job_id, str(instance.status), round(since, 3), instance.error)

    def _unreadable(self, why: str) -> dict[str, Any]:
        return self._event("unreadable", None, None, None, why)

    def _event(
        self, kind: str, job_id: str | None, status: str | None, since: float | None, error: str | None
    ) -> dict[str, Any]:
        return {
            "v": EVENT_VERSION,
            "kind": kind,
            "job_instance_id": self.job_instance_id,
            "job_id": job_id,
            "status": status,
            "since": since,
            "error": error,
        }
