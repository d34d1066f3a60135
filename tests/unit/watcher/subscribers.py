# SPDX-License-Identifier: Apache-2.0
"""Who waits for jobs, without Airflow around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.follower import MAX_OUTAGE, Follower
from airflow_provider_dinky.watcher import Subscription, follow
from airflow_provider_dinky.watcher.connection import ReadConfig
from airflow_provider_dinky.watcher.registry import _watchers
from airflow_provider_dinky.watcher.watcher import Watcher


class Subscriber:
    """Waits for one job, in a task of its own, and keeps what it was told to say."""

    def __init__(
        self,
        config: DinkyConfig | ReadConfig,
        job: int | None,
        conn_id: str = "dinky",
        wait_for: WaitFor = WaitFor.FINISHED,
        unknown_timeout: float = 600.0,
        max_outage: float = MAX_OUTAGE,
        say: Callable[[str], None] | None = None,
        **settings: Any,
    ) -> None:
        now = asyncio.get_running_loop().time()
        self.follower = Follower(
            wait_for,
            now,
            unknown_timeout=unknown_timeout,
            max_outage=max_outage,
            answered=True,
            says_end=False,
        )
        self.job = job
        self.lines: list[str] = []
        self.subscription = Subscription(self.follower, job, **{"poll_interval": 0.05, **settings})
        read_config = config if callable(config) else lambda: config
        self.task = asyncio.create_task(
            follow(conn_id, self.subscription, read_config, say or self.lines.append)
        )

    @property
    def status(self) -> str | None:
        """The state it has seen last."""
        status = self.follower.status
        return None if status is None else str(status)

    async def ended(self, within: float = 60.0) -> Subscription:
        """Wait until it has got what it waits for, or was told that it will not."""
        await asyncio.wait_for(asyncio.shield(self.task), within)
        return self.subscription

    async def leaves(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Subscribe(Protocol):
    """Makes a :class:`Subscriber`, which leaves at the end of the test."""

    def __call__(self, config: DinkyConfig | ReadConfig, job: int | None, **settings: Any) -> Subscriber: ...


def watchers() -> dict[str, Watcher]:
    """The watchers of the test's event loop, by connection."""
    return _watchers.get(asyncio.get_running_loop(), {})


async def until(condition: Callable[[], object], within: float = 60.0) -> None:
    """Wait for what nobody announces."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), within)
