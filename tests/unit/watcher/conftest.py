# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.watcher import polling
from airflow_provider_dinky.watcher.connection import ReadConfig
from tests.sandboxed import conn_id, sandbox
from tests.unit.quick_time import quicken
from tests.unit.watcher.small_dinky import SmallDinky
from tests.unit.watcher.subscribers import Subscribe, Subscriber, watchers

__all__ = ["conn_id", "sandbox"]


@pytest.fixture(autouse=True)
def _lists_whatever_they_cost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have even one job listed, which is what most of these tests are about; ``test_few_jobs`` is about the limit."""
    if not request.node.get_closest_marker("few_jobs"):
        monkeypatch.setattr(polling, "LIST_ABOVE", 0)


@pytest.fixture
async def dinky(request: pytest.FixtureRequest) -> AsyncIterator[SmallDinky]:
    """A small Dinky that counts, on a loop that does not wait."""
    if request.node.get_closest_marker("real_time") is None and "sandbox" not in request.fixturenames:
        quicken(asyncio.get_running_loop())
    async with SmallDinky() as small_dinky:
        yield small_dinky


@pytest.fixture
def config(dinky: SmallDinky, conn_id: str) -> DinkyConfig:
    """The way to it: each one."""
    return dinky.signed_in if conn_id == "signed_in" else dinky.anonymous


@pytest.fixture
async def subscribe() -> AsyncIterator[Subscribe]:
    """Makes subscribers; when the test ends they leave, and then there must be no watcher any more."""
    subscribers: list[Subscriber] = []

    def make(config: DinkyConfig | ReadConfig, job: int | None, **settings: Any) -> Subscriber:
        subscribers.append(Subscriber(config, job, **settings))
        return subscribers[-1]

    yield make
    for subscriber in subscribers:
        subscriber.task.cancel()
    await asyncio.gather(*(subscriber.task for subscriber in subscribers), return_exceptions=True)
    assert not watchers()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets constants of the package, by their names: ``short("polling", LIST_PAUSE=0.3)``."""

    def shorten(module: str, **constants: float) -> None:
        for name, value in constants.items():
            folder = "jobs" if module in ("wait_log", "follower") else "watcher"
            monkeypatch.setattr(f"airflow_provider_dinky.{folder}.{module}.{name}", value)

    return shorten
