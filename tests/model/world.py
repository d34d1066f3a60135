# SPDX-License-Identifier: Apache-2.0
"""A Dinky, an Airflow that lets tries of tasks die, and a clock that nobody waits for.

The sandbox runs in-process on a virtual clock; the real client, starter, restart and operators talk to it. Between
them sits a wire on which anything can go wrong at any point, and the process that tries can die there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_dinky.client import trouble, wire
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.retry import RetryFor
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import CancelTaskOperator, RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.sandbox.clock import VirtualClock
from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.engine import JobRecord
from airflow_provider_dinky.sandbox.faults import Fault
from airflow_provider_dinky.sandbox.messages import ConnectionDropped, Request
from tests.airflow_task import TaskInstance

STREAM, PAYMENTS, CHECKPOINTED = 1, 7, 10
SUBMIT_TIMEOUT, SAVEPOINT_TIMEOUT = 60.0, 90.0

FAULTS = (
    "crash before",
    "crash during",
    "crash after",
    "reset before",
    "reset after",
    "502 before",
    "502 after",
    "refused",
    "html",
    "code 5",
    "late",
)
"""What can happen at a point: a request to Dinky, or a write to the task state store. ``html``: a page with HTTP 200
instead of the answer, after the server has acted. ``code 5``: Dinky fails, before it acts. ``late``: the server acts
only after the client has given up."""


class Crash(BaseException):
    """The process of the try is gone."""


class StoreAway(Exception):
    """Airflow's API server does not answer."""


@dataclass
class Run:
    """One run of an Airflow task: its retries share the store, a clear begins a new generation."""

    kind: str
    dinky_task_id: int
    parameters: dict[str, Any]
    run_id: str = "run1"
    clears: int = 0
    tries: int = 0
    stored: dict[str, Any] = field(default_factory=dict)
    xcom: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    error: str = ""
    """What the last try raised."""

    def clear(self) -> None:
        """A person clears the task: what comes now is the first try of a new generation."""
        self.clears += 1
        self.tries = 0
        self.xcom.clear()
        self.told = ""

    @property
    def key(self) -> str:
        return f"dag1/{self.run_id}/{self.kind}/-1/{self.clears}"


class Tries(ABC):
    """An Airflow that lets tries of tasks die; subclasses say which Dinky, and whose time."""

    def __init__(self, config: DinkyConfig, *, has_store: bool) -> None:
        self.config = config
        self.has_store = has_store
        self.plan: dict[int, str] = {}
        self.plan_of: dict[str, list[str]] = {}
        """What happens at the next requests to a path, by its end; an empty text is nothing. It outlives a try."""
        self.point = 0

    @abstractmethod
    def now(self) -> float:
        """Dinky's time, in seconds since 1970."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let Dinky's time pass."""

    @abstractmethod
    def client(self) -> DinkyClient:
        """A client on whose requests :meth:`fault_here` decides."""

    def fault_here(self, *, acts: bool = False) -> str | None:
        """What happens at the next point.

        :param acts: it is a request that starts or stops a job.
        """
        self.point += 1
        return self.plan.get(self.point)

    def fault_of(self, path: str) -> str | None:
        """What happens at this request because of its path."""
        planned = next(
            (faults for end, faults in self.plan_of.items() if faults and path.endswith(end)), None
        )
        return (planned.pop(0) or None) if planned else None

    def attempt(self, run: Run, plan: Mapping[int, str] | None = None) -> str:
        """One try of a run, with faults at the points of the plan.

        :return: ``done``, ``failed`` or ``crashed``; what it logged and raised is added to ``run.told``.
        """
        self.plan, self.point = dict(plan or {}), 0
        run.tries += 1
        run.error = ""
        task = self._operator(run)
        context = self._context(task, run)
        with _listening(run):
            try:
                task.execute(context)
                return "done"
            except Crash:
                return "crashed"
            except Exception as error:
                run.error = str(error)
                run.told += f"\n{error}"
                return "failed"
            finally:
                run.xcom.update(context["ti"].xcom)
                self.plan = {}

    def _operator(self, run: Run) -> Any:
        kind = {
            "submit": SubmitTaskOperator,
            "restart": RestartTaskOperator,
            "cancel": CancelTaskOperator,
        }[run.kind]
        follows = {} if run.kind == "cancel" else {"wait_for": "submitted"}
        task: Any = kind(
            task_id=run.kind,
            dinky_task_id=run.dinky_task_id,
            dinky_conn_id="dinky_default",
            retries=1_000,
            **follows,
            **run.parameters,
        )
        hook = DinkyHook("dinky_default")
        hook.__dict__["config"] = self.config
        hook.__dict__["client"] = self.client()
        task.__dict__["hook"] = hook
        task._pace = lambda: Pace(self.now, self.wait)
        return task

    def _context(self, task: Any, run: Run) -> Any:
        ti: Any = TaskInstance(task, run_id=run.run_id, clears=run.clears)
        ti.try_number = run.clears + run.tries
        context: dict[str, Any] = {"ti": ti}
        if self.has_store:
            context["task_state_store"] = FragileStore(self, run)
        return context


class World(Tries):
    """Everything there is, in this process."""

    def __init__(self, *, signed_in: bool, has_store: bool, seed: int = 0) -> None:
        config = DinkyConfig(
            "http://127.0.0.1:8888",
            name="dinky_default",
            username="admin" if signed_in else None,
            password="admin" if signed_in else None,
            submit_timeout=SUBMIT_TIMEOUT,
            savepoint_timeout=SAVEPOINT_TIMEOUT,
        )
        super().__init__(config, has_store=has_store)
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.core = SandboxCore(clock=self.clock, seed=seed, workers=3)

    def now(self) -> float:
        return self.clock.now()

    def client(self) -> DinkyClient:
        return InProcessClient(self)

    def close(self) -> None:
        async def end() -> None:
            self.core.close()
            pending = asyncio.all_tasks() - {asyncio.current_task()}
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

        self.loop.run_until_complete(end())
        self.loop.close()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(self.clock.advance(seconds))

    def do(self, coroutine: Any) -> Any:
        """Run something of the sandbox's, with as much time as it takes."""
        return self.loop.run_until_complete(self.clock.run(coroutine))

    @property
    def jobs(self) -> tuple[JobRecord, ...]:
        """The engine's own record of every job ever started."""
        return tuple(self.core.engine.jobs)

    def active(self, dinky_task_id: int) -> list[JobRecord]:
        return [job for job in self.jobs if job.active and job.task_id == dinky_task_id]


class FragileStore:
    """The task state store, whose writes are points."""

    def __init__(self, world: Tries, run: Run) -> None:
        self._world, self._run = world, run

    def get(self, key: str) -> Any:
        return self._run.stored.get(key)

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        assert retention == timedelta.max, "entries must not expire"
        fault = self._world.fault_here()
        if fault == "crash before":
            raise Crash
        if fault is not None and not fault.startswith("crash"):
            raise StoreAway("the API server is away")
        self._run.stored[key] = json.loads(json.dumps(value))
        if fault is not None:
            raise Crash


class InProcessClient(DinkyClient):
    """The real client, but its requests go to the sandbox in this process."""

    def __init__(self, world: World) -> None:
        super().__init__(world.config, sleep=world.wait)
        self._world = world

    def with_patience(self, config: DinkyConfig, retry_for: RetryFor) -> DinkyClient:
        return self

    def _exchange(self, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        world = self._world
        fault = world.fault_here(acts=not call.repeatable) or world.fault_of(call.path)
        if fault == "crash before":
            raise Crash
        if fault == "refused":
            raise trouble.unreachable(self.config, call, "connection refused", sent=False)
        if fault == "reset before":
            raise trouble.unreachable(self.config, call, "reset", sent=True)
        if fault == "502 before":
            return wire.Reply(502, b"<html>Bad gateway")
        if fault == "code 5":
            failure = {"data": None, "code": 5, "msg": "java.sql.SQLTransientException", "success": False}
            return wire.Reply(200, json.dumps(failure).encode())
        if fault == "late":
            world.core.faults.add(
                Fault("latency", urlsplit(request.url).path, seconds=request.read_timeout * 1.1)
            )
        reply = world.do(self._answer(call, request, dies=fault == "crash during"))
        world.core.faults.clear()
        if fault == "crash after":
            raise Crash
        if fault == "reset after":
            raise trouble.unreachable(self.config, call, "reset", sent=True)
        if fault == "502 after":
            return wire.Reply(502, b"<html>Bad gateway")
        if fault == "html":
            return wire.Reply(200, b"<html>Sign in to the proxy")
        return reply

    async def _answer(self, call: ApiCall[Any], request: wire.Request, *, dies: bool) -> wire.Reply:
        loop = asyncio.get_running_loop()
        answer = loop.create_task(self._world.core.handle(_as_received(request)))
        if dies:
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0)
            raise Crash
        patience = loop.create_task(self._world.clock.sleep(request.read_timeout))
        await asyncio.wait({answer, patience}, return_when=asyncio.FIRST_COMPLETED)
        patience.cancel()
        if not answer.done():
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise trouble.unreachable(self.config, call, "no answer in time", sent=True)
        try:
            response = answer.result()
        except ConnectionDropped:
            sent = not self._world.core.is_down
            raise trouble.unreachable(self.config, call, "connection lost", sent=sent) from None
        cookies = {}
        with contextlib.suppress(KeyError):
            name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
            cookies[name] = value
        return wire.Reply(response.status, response.body.encode(), response.headers.get("Location"), cookies)


def _as_received(request: wire.Request) -> Request:
    cookies = dict(
        pair.strip().split("=", 1) for pair in request.headers.get("Cookie", "").split(";") if "=" in pair
    )
    return Request(
        request.method,
        urlsplit(request.url).path,
        {name: str(value) for name, value in (request.params or {}).items()},
        "" if request.json is None else json.dumps(request.json),
        {} if request.json is None else {"content-type": "application/json"},
        cookies,
    )


@contextlib.contextmanager
def _listening(run: Run) -> Iterator[None]:
    here = threading.get_ident()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == here:
                run.told += "\n" + record.getMessage()

    ear, logger = Ear(logging.INFO), logging.getLogger("airflow_provider_dinky")
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
