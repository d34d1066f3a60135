# SPDX-License-Identifier: Apache-2.0
"""Both clients behind one face, so that a test is written once and holds for both.

Each signs in by itself, as if it were a process of its own, unless it is given a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.retry import NO_RETRY, RetryFor
from airflow_provider_dinky.client.session import Session

T = TypeVar("T")


class AnyClient(Protocol):
    """A client that plain code can use."""

    def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its result."""

    def send_all(self, calls: Iterable[ApiCall[T]]) -> list[T]:
        """Send calls at the same time and return their results, in the calls' order."""

    def close(self) -> None:
        """Close the connections."""


class Blocking:
    """The blocking client, without retries unless told how long, and without real sleep between them."""

    def __init__(
        self,
        config: DinkyConfig,
        retry_for: RetryFor = NO_RETRY,
        sleep: Callable[[float], Any] | None = None,
        session: Session | None = None,
    ) -> None:
        self.client = DinkyClient(config, retry_for, sleep or (lambda seconds: None), session or Session())

    def send(self, call: ApiCall[T]) -> T:
        return self.client.send(call)

    def send_all(self, calls: Iterable[ApiCall[T]]) -> list[T]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(self.client.send, calls))

    def close(self) -> None:
        self.client.close()


class OnLoop:
    """The async client with a loop of its own, which runs only while a call is sent."""

    def __init__(
        self,
        config: DinkyConfig,
        retry_for: RetryFor = NO_RETRY,
        sleep: Callable[[float], Any] | None = None,
        session: Session | None = None,
    ) -> None:
        async def pause(seconds: float) -> None:
            if sleep is not None:
                sleep(seconds)
            await asyncio.sleep(0)

        self.loop = asyncio.new_event_loop()
        self.client = AsyncDinkyClient(config, retry_for, pause, session=session or Session())

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaitable)

    def send(self, call: ApiCall[T]) -> T:
        return self.run(self.client.send(call))

    def send_all(self, calls: Iterable[ApiCall[T]]) -> list[T]:
        async def send() -> list[T]:
            return await asyncio.gather(*map(self.client.send, calls))

        return self.run(send())

    def close(self) -> None:
        self.run(self.client.close())
        self.run(asyncio.sleep(0))
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()
