# SPDX-License-Identifier: Apache-2.0
"""Who runs event triggers, without Airflow around it: as Airflow 3.3 does (one stream for all), or as those before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from tests.airflow_task import rebuilt

SHARED, OWN = "shared", "own"


class AssetStore(dict[str, Any]):
    """The state store of one asset, as Airflow 3.3 gives it to a trigger."""

    written = 0
    """Times that something was written."""
    broken: Exception | None = None
    """What it raises instead of an answer."""

    async def aget(self, key: str, default: Any = None) -> Any:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        return self.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        self.written += 1
        self[key] = json.loads(json.dumps(value))


class Stream:
    """One stream of boards for all the triggers of a connection; ends with the last of them."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[Any]] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, trigger: JobStatusEventTrigger) -> AsyncIterator[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues.append(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._poll(trigger))
        return self._drain(queue)

    async def leave(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _poll(self, trigger: JobStatusEventTrigger) -> None:
        async for board in type(trigger).open_shared_stream(trigger.serialize()[1]):
            for queue in self._queues:
                queue.put_nowait(board)

    async def _drain(self, queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
        while True:
            yield await queue.get()


class Triggerer:
    """Runs triggers, each made anew from its serialised form, and keeps what they yield."""

    def __init__(self, way: str = SHARED) -> None:
        self._way = way
        self._stream = Stream()
        self._tasks: list[asyncio.Task[None]] = []
        self._triggers: list[JobStatusEventTrigger] = []
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.told: list[dict[str, Any]] = []

    def runs(self, trigger: JobStatusEventTrigger, store: AssetStore | None = None) -> JobStatusEventTrigger:
        running: JobStatusEventTrigger = rebuilt(trigger)
        if store is not None:
            running.asset_state_store = store  # type: ignore[assignment]
        self._triggers.append(running)
        self._tasks.append(asyncio.create_task(self._run(running)))
        return running

    async def event(self, within: float = 60.0) -> dict[str, Any]:
        """The next event."""
        return await asyncio.wait_for(self._events.get(), within)

    async def nothing_comes(self, for_seconds: float) -> None:
        """Nothing is told for a while, and all triggers go on."""
        with suppress(asyncio.TimeoutError):
            event = await asyncio.wait_for(self._events.get(), for_seconds)
            raise AssertionError(event)
        assert not [task for task in self._tasks if task.done()]

    async def stops(self) -> None:
        """As when it is shut down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stream.leave()
        for trigger in self._triggers:
            await trigger.cleanup()

    async def _run(self, trigger: JobStatusEventTrigger) -> None:
        events = (
            trigger.filter_shared_stream(self._stream.subscribe(trigger))
            if self._way == SHARED
            else trigger.run()
        )
        async for event in events:
            payload = json.loads(json.dumps(event.payload))
            assert payload == event.payload
            self.told.append(payload)
            self._events.put_nowait(payload)
