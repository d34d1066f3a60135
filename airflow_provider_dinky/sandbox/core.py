# SPDX-License-Identifier: Apache-2.0
"""A whole sandbox without sockets: requests in, responses out, on any clock."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import pages
from .api import DinkyApi
from .clock import Clock, WallClock
from .control_api import ControlApi
from .controls import Controls
from .default_tasks import DEFAULT_TASKS
from .dinky import Dinky
from .engine import Engine
from .faults import Faults
from .messages import ConnectionDropped, Request, Response
from .sessions import Sessions
from .simulated import SimulatedEngine
from .tasks import TaskSpec
from .tenants import Workers
from .timing import Timing
from .versions import NEWEST_RECORDED, version


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that reached the server: ``json`` is its body (None without one), ``time`` when it came."""

    method: str
    path: str
    query: Mapping[str, str]
    json: Any
    time: float


class SandboxCore(Controls):
    """One Dinky with its Flink.

    :param tasks: the tasks it serves; a default set without.
    :param clock: its time; real time without.
    :param engine: what runs the jobs; a simulated cluster without.
    :param address: ``host:port`` under which the job manager is shown.
    :param username: who can sign in, with ``password``.
    :param quirks: whether it now and then says "Task Not Exist" for a task that exists, as a real server.
    :param control: whether ``/sandbox/...`` takes orders over HTTP.
    :param savepoints: directory for savepoint files; a temporary one without, removed by :meth:`close`.
    :param seed: makes ids and everything that is left to chance the same every time.
    :param workers: threads of the server's pool, for the quirk.
    :param dinky: the version of Dinky that it is: ``1.0``, ``1.1`` or ``1.2``.
    """

    def __init__(
        self,
        *,
        tasks: Iterable[TaskSpec] | None = None,
        clock: Clock | None = None,
        engine: Engine | None = None,
        address: str = "127.0.0.1:8888",
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
        which = version(dinky)
        self._temporary = None if savepoints else tempfile.TemporaryDirectory(prefix="dinky-sandbox-")
        directory = Path(savepoints or (self._temporary.name if self._temporary else "")).resolve()
        chance = random.Random(seed)
        self.clock = clock or WallClock()
        self.engine: Engine = engine or SimulatedEngine(
            self.clock, directory, address=address, timing=timing, chance=chance
        )
        self.dinky = Dinky(
            DEFAULT_TASKS if tasks is None else tasks,
            self.engine,
            self.clock,
            timing=timing,
            chance=chance,
            version=which,
        )
        self.sessions = Sessions(self.clock, {username: password}, chance)
        self.workers = Workers(workers, chance, quirk=quirks)
        self.faults = Faults(self.clock)
        self.requests: list[ReceivedRequest] = []
        self.gateway: tuple[str, str] | None = None
        """The header that a gateway before Dinky asks for, and the value it has to have."""
        self.is_down = False
        self.on_down: Callable[[], Awaitable[None]] | None = None
        self.on_up: Callable[[], Awaitable[None]] | None = None
        self.api = DinkyApi(self.dinky, self.sessions, self.workers)
        self._control = ControlApi(self) if control else None
        self._active: set[asyncio.Task[Response]] = set()

    @property
    def _core(self) -> SandboxCore:
        return self

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request. Raises ConnectionDropped where a client would see none.

        A client that gives up (that is, cancelling this call) does not stop what the server does.
        """
        if self.is_down:
            raise ConnectionDropped
        if request.path == "/":
            return Response(200, pages.PAGE, "text/html")
        if request.path == "/sandbox/state":
            return Response.of(await pages.state(self))
        if self._control is not None and request.path.startswith("/sandbox/"):
            return await self._control.handle(request)
        received = ReceivedRequest(
            request.method, request.path, request.query, request.json, self.clock.now()
        )
        self.requests.append(received)
        return await self._finish(asyncio.get_running_loop().create_task(self._answer(request)))

    async def restart(self, down_for: float = 0.0, *, keep_memory: bool = True) -> None:
        """Let the server die and come back ``down_for`` seconds later; nothing listens meanwhile.

        Requests under way are dropped, sign-ins are forgotten. Without ``keep_memory`` its database is gone
        too (as with one in memory); the jobs run on in Flink either way.
        """
        await self.go_down()
        await self.clock.sleep(down_for)
        await self.come_up(keep_memory=keep_memory)

    async def go_down(self) -> None:
        """Let the server die."""
        self.is_down = True
        for task in self._active:
            task.cancel()
        self.dinky.go_down()
        if self.on_down is not None:
            await self.on_down()

    async def come_up(self, *, keep_memory: bool = True) -> None:
        """Start the server again."""
        self.dinky.come_up(keep_memory=keep_memory)
        self.sessions.restart(keep_memory=keep_memory)
        self.workers.restart()
        if self.on_up is not None:
            await self.on_up()
        self.is_down = False

    def close(self) -> None:
        """Stop everything and remove what was written."""
        for task in self._active:
            task.cancel()
        self.dinky.go_down()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _answer(self, request: Request) -> Response:
        if self.gateway is not None and request.headers.get(self.gateway[0]) != self.gateway[1]:
            return Response(401, "<html><body><h1>401 Authorization Required</h1></body></html>", "text/html")
        return await self.faults.serve(request, lambda: self.api.handle(request))

    async def _finish(self, task: asyncio.Task[Response]) -> Response:
        self._active.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ConnectionDropped from None
            raise

    def _done(self, task: asyncio.Task[Response]) -> None:
        self._active.discard(task)
        # Nobody may be left to see the exception of a request whose client has gone; asyncio would complain.
        if not task.cancelled():
            task.exception()
