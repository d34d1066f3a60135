# SPDX-License-Identifier: Apache-2.0
"""A world in which something definite happens at a definite request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_dinky.client import wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.sandbox.engine import JobRecord
from tests.model.world import STREAM, Crash, InProcessClient, Run, World

Action = Callable[[], "wire.Reply | None"]
HTML = wire.Reply(200, b"<html>Please sign in")
CODE_5 = wire.Reply(
    200, b'{"data": "java.lang.RuntimeException: pool", "code": 5, "msg": "pool", "success": false}'
)
BAD_GATEWAY = wire.Reply(502, b"<html>Bad gateway")


@dataclass
class Event:
    """Something that happens at requests to a path: it may answer in Dinky's place, or raise."""

    path: str
    do: Action
    after: bool
    left: int


class Scene(World):
    """A world in which something happens when a certain request is sent, and nobody waits for a followed job."""

    def __init__(self, *, signed_in: bool = True, has_store: bool = True) -> None:
        super().__init__(signed_in=signed_in, has_store=has_store)
        self.events: list[Event] = []

    def at(self, path: str, do: Action, *, after: bool = False, times: int = 1) -> None:
        """Let something happen at the next requests to a path, before Dinky sees them or after it has answered."""
        self.events.append(Event(path, do, after, times))

    def client(self) -> InProcessClient:
        return SceneClient(self)

    def happen(self, call: ApiCall[Any], *, after: bool) -> wire.Reply | None:
        for event in list(self.events):
            if event.after is after and call.path.endswith(event.path):
                event.left -= 1
                if event.left <= 0:
                    self.events.remove(event)
                return event.do()
        return None

    def _operator(self, run: Run) -> Any:
        parameters = dict(run.parameters)
        wait_for = parameters.pop("wait_for", None)
        task = super()._operator(Run(run.kind, run.dinky_task_id, parameters))
        if wait_for:
            task.wait_for = wait_for
            task._sleep = self.wait
        return task

    def running(self, dinky_task_id: int = STREAM, **parameters: Any) -> JobRecord:
        """A job that an earlier run has started."""
        assert self.attempt(Run("submit", dinky_task_id, parameters, run_id="earlier")) == "done"
        self.wait(30)
        return self.active(dinky_task_id)[-1]

    def job(self, jid: str) -> JobRecord:
        return next(job for job in self.jobs if job.jid == jid)

    def sent(self, path: str) -> int:
        return sum(request.path.endswith(path) for request in self.core.requests)


class SceneClient(InProcessClient):
    _world: Scene

    def with_patience(self, config: Any, retry_for: Any) -> SceneClient:
        return self

    def _exchange(self, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        instead = self._world.happen(call, after=False)
        if instead is not None:
            return instead
        reply = super()._exchange(call, request)
        return self._world.happen(call, after=True) or reply


@pytest.fixture
def scene() -> Iterator[Scene]:
    yield from scenes(signed_in=True, has_store=True)


@pytest.fixture(params=["store", "no store"])
def signed_in(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Signed in, with a task state store and without."""
    yield from scenes(signed_in=True, has_store=request.param == "store")


def scenes(**variant: bool) -> Iterator[Scene]:
    scene = Scene(**variant)
    try:
        yield scene
    finally:
        scene.close()


def restart(run_id: str = "run1", **parameters: Any) -> Run:
    return Run("restart", STREAM, {"method": "steps", **parameters}, run_id=run_id)


def crash() -> None:
    raise Crash
