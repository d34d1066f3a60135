# SPDX-License-Identifier: Apache-2.0
"""Lends the client of a poll loop to whoever has a question beside it: the same session, the same sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.calls import ApiCall, Sleep
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConnectionError, DinkyError
from airflow_provider_dinky.client.wire import SessionLost, TenantNotSet

QUESTIONS_ABREAST = 4
"""Questions under way at most, so that they don't hold up polling."""
TRIES = 3
"""Times that a call is sent which was refused before it had any effect: signed out, or no tenant yet."""

T = TypeVar("T")
Steps = Callable[[DinkyConfig], Generator[ApiCall[Any] | Sleep, Any, T]]


class Lender:
    """Answers questions over the client that is lent to it; belongs to one event loop.

    :param conn_id: the Airflow connection, for errors.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id
        self._client: AsyncDinkyClient | None = None
        self._is_gone: Callable[[], bool] = lambda: False
        self._closed: DinkyError | None = None
        self._waiting: set[asyncio.Future[AsyncDinkyClient]] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Semaphore(QUESTIONS_ABREAST)

    @asynccontextmanager
    async def lends(self, client: AsyncDinkyClient, is_gone: Callable[[], bool]) -> AsyncIterator[None]:
        """Lend a client for as long as the block lasts; then nothing is sent over it any more.

        :param is_gone: tells whether Dinky is known not to answer.
        """
        self._client, self._is_gone = client, is_gone
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(client)
        try:
            yield
        finally:
            self._client = None
            under_way = list(self._under_way)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def close(self, error: DinkyError) -> None:
        """There will be no client any more: whoever waits for one, or comes yet, learns why."""
        self._closed = error
        self.cannot(error)

    def cannot(self, error: DinkyError) -> None:
        """There is no client yet: whoever waits for one learns why."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)

    async def ask(self, steps: Steps[T]) -> T:
        """Send the calls of a generator, each as soon as the one before it is answered.

        :raises DinkyError: what kept it from its result.
        """
        async with self._turn:
            client = self._client or await self._until_lent()
            if self._is_gone():
                raise DinkyConnectionError(
                    f"connection '{self._conn_id}' ({client.config.base_url}): nothing was asked, as Dinky does not "
                    "answer at present",
                    sent=False,
                )
            task = asyncio.ensure_future(client.run(_insisting(steps(client.config))))
            self._under_way.add(task)
            try:
                # Not awaited itself: who has cancelled what could not be told then.
                await asyncio.wait({task})
            finally:
                self._under_way.discard(task)
                if not task.done():
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
        if task.cancelled():
            raise DinkyConnectionError(
                f"connection '{self._conn_id}': broken off, as the connection has changed or polling has ended",
                sent=True,
            )
        return task.result()

    async def _until_lent(self) -> AsyncDinkyClient:
        if self._closed is not None:
            raise self._closed
        waiting: asyncio.Future[AsyncDinkyClient] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            return await waiting
        finally:
            self._waiting.discard(waiting)


def _insisting(steps: Generator[ApiCall[Any] | Sleep, Any, T]) -> Generator[ApiCall[Any] | Sleep, Any, T]:
    """The same steps, which see a refusal that had no effect only after so many tries.

    The client of a poll loop tries nothing again by itself.
    """
    try:
        call = next(steps)
        while True:
            tries = 0
            while True:
                tries += 1
                try:
                    answer = yield call
                except DinkyError as error:
                    if isinstance(error, SessionLost | TenantNotSet) and tries < TRIES:
                        continue
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
                break
    except StopIteration as done:
        result: T = done.value
        return result
