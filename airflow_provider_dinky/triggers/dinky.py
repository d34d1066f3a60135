# SPDX-License-Identifier: Apache-2.0
"""The triggers: one follows a job while its Airflow task is deferred, the other reports what happens to a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dinky.client.masking import mask_secrets
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.diagnostics import versions
from airflow_provider_dinky.followed import CancelOnKill, FollowedJob
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.follower import MAX_OUTAGE, Follower
from airflow_provider_dinky.parameters import choice, seconds
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from airflow_provider_dinky.triggers.on_kill import Stop, pulse
from airflow_provider_dinky.watcher import Subscription, follow, staying

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig

__all__ = ["JobStatusEventTrigger", "JobStatusTrigger"]

EVENT_VERSION = 1


class JobStatusTrigger(BaseTrigger):
    """Waits until a job is where it is awaited, and then yields one event.

    All the triggers of one triggerer that use the same connection share one poll loop, one session and one sign-in:
    see :mod:`airflow_provider_dinky.watcher`.

    The event carries facts and no verdict: ``{"v": 1, "kind": "state", "job_instance_id", "job_id", "status",
    "since", "error"}``, or with ``"kind": "unreadable"`` why the state could not be read. ``since`` is for how many
    seconds the state has been seen. Where it is so, the event also says ``"checkpointed": true``, ``"restarts"`` (how
    often the job was restarted before its tasks ran), ``"gone": true`` (Flink does not know the job) and
    ``"cluster_type"``. Trouble on the way is waited out.

    :param job_instance_id: Dinky's id of the job's run; None to wait for the newest one of ``dinky_task_id``.
    :param dinky_conn_id: the Airflow connection.
    :param wait_for: ``running``, ``checkpointed`` (the event then says ``"checkpointed": true``) or ``finished``.
    :param poll_interval: seconds between looks.
    :param unknown_timeout: seconds a job may be UNKNOWN before that is reported.
    :param max_outage: seconds without any answer after which the job counts as unreadable.
    :param dinky_task_id: the Dinky task it is a run of; needed for ``cancel_on_kill``, or to find the run.
    :param newer_than_job_instance_id: with a task and no run: the newest run that is not meant.
    :param cancel_on_kill: how to stop the job, which the task started, when a user ends the deferred task
        (Airflow 3.3 on); None leaves it alone.
    :param job_id: Flink's id of the job, and ``job_manager_address`` its job manager: to look for its checkpoints, and
        for ``cancel_on_kill`` of a job that Dinky does not take for the task's current one any more, where the
        connection allows Flink REST.
    :param status: the job's state as the log has it already; only changes are logged.
    :raises ValueError: a parameter cannot be used.
    """

    def __init__(
        self,
        job_instance_id: int | None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        wait_for: str = "finished",
        poll_interval: float = 10.0,
        unknown_timeout: float = 600.0,
        max_outage: float = MAX_OUTAGE,
        dinky_task_id: int | None = None,
        newer_than_job_instance_id: int | None = None,
        cancel_on_kill: CancelOnKill = None,
        job_id: str | None = None,
        job_manager_address: str | None = None,
        status: str | None = None,
    ) -> None:
        super().__init__()
        self.job_instance_id = job_instance_id
        self.dinky_conn_id = dinky_conn_id
        self.wait_for = str(choice("wait_for", wait_for, [str(what) for what in WaitFor]))
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.unknown_timeout = unknown_timeout
        self.max_outage = max_outage
        self.dinky_task_id = dinky_task_id
        self.newer_than_job_instance_id = newer_than_job_instance_id
        self.cancel_on_kill = cancel_on_kill
        self.job_id = job_id
        self.job_manager_address = job_manager_address
        self.status = status

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, without those that are not given."""
        arguments = {
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
            "status": self.status,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"job_instance_id": self.job_instance_id, **given},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until there is something to say."""
        heart = pulse()
        heart.enter()
        try:
            yield TriggerEvent(await self._until_ended())
        except Exception as error:
            # An exception here would fail the Airflow task without a word of what is known of the job.
            self.log.exception("The job cannot be followed any more; please report it with: %s", versions())
            yield TriggerEvent(self._event("unreadable", error=repr(error)))
        finally:
            heart.leave()

    async def on_kill(self) -> None:
        """Stop the job if that was asked for and a user has ended the deferred task; see :mod:`.on_kill`."""
        if self.cancel_on_kill is None or self.job_instance_id is None:
            return
        job = FollowedJob(
            self.dinky_task_id, self.job_instance_id, self.job_id, self.job_manager_address, started=True
        )
        stop = Stop(
            job,
            self.cancel_on_kill,
            self.dinky_conn_id,
            getattr(self, "task_instance", None),
            self._read_config,
            self.log,
        )
        await stop.run()

    async def _until_ended(self) -> dict[str, Any]:
        if self.wait_for in (WaitFor.RUNNING, WaitFor.CHECKPOINTED):
            # One session and one sign-in for all the looks, whoever else uses the connection.
            with staying(self.dinky_conn_id, self._read_config):
                return await self._follow()
        return await self._follow()

    async def _follow(self) -> dict[str, Any]:
        clock = asyncio.get_running_loop().time
        # The task has looked at the job before it was deferred.
        follower = Follower(
            WaitFor(self.wait_for),
            clock(),
            unknown_timeout=self.unknown_timeout,
            max_outage=self.max_outage,
            answered=True,
            says_end=False,
        )
        if self.status is not None:
            follower.begin_at(JobStatus(self.status), clock())
        job = Subscription(
            follower,
            self.job_instance_id,
            dinky_task_id=self.dinky_task_id,
            newer_than=self.newer_than_job_instance_id or 0,
            job_id=self.job_id,
            job_manager_address=self.job_manager_address,
            poll_interval=self.poll_interval,
        )
        await follow(self.dinky_conn_id, job, self._read_config, self._say)
        self.job_instance_id = job.job_instance_id
        if follower.unreadable is not None:
            why = None if follower.problem is None else type(follower.problem).__name__
            return {**self._event("unreadable", error=follower.unreadable), "error_type": why}
        facts = follower.facts()
        error = None if facts.error is None else mask_secrets(facts.error)
        since = round(clock() - follower.since, 3)
        return self._event("state", job.job_id, str(facts.status), since, error) | facts.to_event()

    def _say(self, line: str) -> None:
        # Airflow makes the logger when it is first asked for, which most of thousands never do.
        self.log.info(line)

    def _read_config(self) -> DinkyConfig:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id).config

    def _event(
        self,
        kind: str,
        job_id: str | None = None,
        status: str | None = None,
        since: float | None = None,
        error: str | None = None,
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
