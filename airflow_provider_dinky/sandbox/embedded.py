# SPDX-License-Identifier: Apache-2.0
"""A sandbox inside a test or script: a server on a free port, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .clock import WallClock
from .controls import Controls
from .core import ReceivedRequest, SandboxCore
from .default_tasks import DEFAULT_TASKS
from .engine import Engine
from .server import Server, listen
from .tasks import TaskSpec, checked_tasks, load_tasks
from .timing import Timing
from .versions import NEWEST_RECORDED, version

T = TypeVar("T")

_START_SECONDS = 10.0


class Sandbox(Controls):
    """A small Dinky to test against.

    ::

        with Sandbox(speed=20) as sandbox:
            requests.get(f"{sandbox.url}/openapi/version")

    :param speed: how many times faster than real time everything goes inside; time-outs of clients do not.
    :param tasks: tasks, or a YAML file with them; a default set without.
    :param engine: what runs the jobs; a simulated cluster without. A real one has only the real time: ``speed``
        is 1 then.
    :param port: 0 takes a free one.
    :param host: the address to listen on; loopback only by default, since there is no real security.

    The other parameters are those of :class:`~.core.SandboxCore`. Every method may be called from any thread.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        tasks: Iterable[TaskSpec] | str | Path | None = None,
        engine: Engine | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        username: str = "admin",
        password: str = "admin",
        quirks: bool = True,
        control: bool = False,
        savepoints: str | Path | None = None,
        timing: Timing | None = None,
        seed: int | None = None,
        workers: int = 8,
        dinky: str = NEWEST_RECORDED,
    ) -> None:
        version(dinky)
        if engine is not None and speed != 1:
            raise ValueError(f"speed is {speed}, must be 1 with an engine of one's own")
        self._username, self._password = username, password
        # Before the socket is there, so that a wrong task leaves nothing open.
        served = (
            load_tasks(tasks) if isinstance(tasks, (str, Path)) else checked_tasks(tasks or DEFAULT_TASKS)
        )
        self._listening = listen(host, port)
        self.host: str = host
        self.port: int = self._listening.getsockname()[1]
        self._inner = SandboxCore(
            tasks=served,
            clock=WallClock(speed),
            engine=engine,
            address=f"{_in_url(host)}:{self.port}",
            username=username,
            password=password,
            quirks=quirks,
            control=control,
            savepoints=savepoints,
            timing=timing,
            seed=seed,
            workers=workers,
            dinky=dinky,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: Server | None = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return f"http://{_in_url(self.host)}:{self.port}"

    @property
    def airflow_connection(self) -> str:
        """An Airflow connection that signs in, as JSON for ``AIRFLOW_CONN_...``."""
        return json.dumps({**self._connection(), "login": self._username, "password": self._password})

    @property
    def anonymous_airflow_connection(self) -> str:
        """An Airflow connection without credentials, as JSON for ``AIRFLOW_CONN_...``."""
        return json.dumps(self._connection())

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request that reached the server so far, oldest first (a copy)."""
        return list(self._inner.requests)

    @property
    def engine(self) -> Engine:
        """What runs the jobs; ``engine.jobs`` is its record of every job ever started."""
        return self._inner.engine

    @property
    def tasks(self) -> list[TaskSpec]:
        """The tasks that are served."""
        return list(self._inner.dinky.tasks.values())

    def start(self) -> None:
        """Begin to serve; returns when the server answers."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dinky-sandbox", daemon=True)
        self._thread.start()
        self._await(self._start())

    def stop(self) -> None:
        """Stop serving and remove everything that was written. May be called twice."""
        if self._loop is None or self._thread is None:
            self._listening.close()
            self._inner.close()
            return
        self._await(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def restart(self, down_for: float = 0.0, *, keep_memory: bool = True, wait: bool = True) -> None:
        """Let the server die and come back ``down_for`` seconds (of its clock) later.

        Without ``keep_memory`` its database is lost too. Without ``wait`` this returns as soon as nothing
        listens any more.
        """
        self._await(self._inner.go_down())
        later = self._submit(self._come_back(down_for, keep_memory))
        if wait:
            later.result()

    async def _come_back(self, down_for: float, keep_memory: bool) -> None:
        await self._inner.clock.sleep(down_for)
        await self._inner.come_up(keep_memory=keep_memory)

    @property
    def _core(self) -> SandboxCore:
        return self._inner

    def _run(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return self._await(act())

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._submit(coroutine).result(_START_SECONDS)

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("the sandbox is not started")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _start(self) -> None:
        self._server = Server(self._inner, self._listening)
        await self._server.start()

    async def _stop(self) -> None:
        self._inner.close()
        if self._server is not None:
            await self._server.stop()
        # Whatever still waits on the clock (a restart, a monitor) has nothing to wait for any more.
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _connection(self) -> dict[str, Any]:
        return {"conn_type": "dinky", "host": self.host, "port": self.port, "schema": "http"}


def _in_url(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
