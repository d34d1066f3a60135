# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for the end of a job that was asked to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyError, DinkyNotFoundError
from airflow_provider_dinky.diagnostics import versions
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operations.stop import EndWatch, JobEnd, look_at_end
from airflow_provider_dinky.operations.wait import pauses
from airflow_provider_dinky.watcher import ask, staying

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig

EVENT_VERSION = 1


class JobEndTrigger(BaseTrigger):
    """Waits until a job that was asked to stop has ended, and then yields one event.

    The event carries facts and no verdict: ``{"v": 1, "kind": "state", "job_instance_id", "job_id", "status", "since",
    "error"}`` as that of :class:`~airflow_provider_dinky.triggers.dinky.JobStatusTrigger`, and ``has_ended``. Trouble
    on the way is waited out until the time is over.

    :param job: the job, as ``FollowedJob.to_dict`` gives it.
    :param dinky_conn_id: the Airflow connection.
    :param until: when to give up, in seconds since 1970.
    :param refresh: make Dinky ask Flink at each look, where it can be.
    """

    def __init__(
        self,
        job: Mapping[str, Any],
        dinky_conn_id: str = DEFAULT_CONNECTION,
        until: float = 0.0,
        refresh: bool = False,
    ) -> None:
        super().__init__()
        self.job = dict(job)
        self.dinky_conn_id = dinky_conn_id
        self.until = until
        self.refresh = refresh

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "job": self.job,
                "dinky_conn_id": self.dinky_conn_id,
                "until": self.until,
                "refresh": self.refresh,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until there is something to say."""
        try:
            # One session and one login for all the looks, whoever else uses the connection.
            with staying(self.dinky_conn_id, self._read_config):
                yield TriggerEvent(self._event(await self._until_ended()))
        except Exception as error:
            # An exception here would fail the Airflow task without what is known of the job.
            self.log.exception(
                "The end of the job cannot be waited for; please report it with: %s", versions()
            )
            yield TriggerEvent(
                {**self._event(JobEnd()), "kind": "unreadable", "error": _storable(repr(error))}
            )

    async def _until_ended(self) -> JobEnd:
        job, watch, last = FollowedJob.from_dict(self.job), EndWatch(), JobEnd()
        for pause in pauses():
            is_over = time.time() >= self.until
            look = partial(
                look_at_end, job=job, watch=watch, last=last, refresh=self.refresh, now=time.monotonic
            )
            try:
                last = await ask(self.dinky_conn_id, self._read_config, look)
            except (DinkyNotFoundError, DinkyConfigError) as error:
                return JobEnd(error=error)
            except DinkyError as error:
                last = JobEnd(status=last.status, error=error)
            if last.has_ended or last.is_unknown or is_over:
                break
            await asyncio.sleep(min(pause, max(0.05, self.until - time.time())))
        return last

    def _read_config(self) -> DinkyConfig:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id).config

    def _event(self, end: JobEnd) -> dict[str, Any]:
        return {
            "v": EVENT_VERSION,
            "kind": "state",
            "job_instance_id": self.job.get("job_instance_id"),
            "job_id": self.job.get("job_id"),
            "status": None if end.status is None else str(end.status),
            "since": None,
            "error": None if end.error is None else _storable(str(end.error)),
            "has_ended": end.has_ended,
        }


def _storable(text: str) -> str:
    # Airflow stores events in its database: PostgreSQL refuses NUL, every driver half a surrogate pair.
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
