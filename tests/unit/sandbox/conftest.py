# SPDX-License-Identifier: Apache-2.0
"""A sandbox without sockets on a virtual clock, and short words for what the tests ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_dinky.sandbox.clock import VirtualClock
from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.messages import Request, Response

STREAM, BOUNDED, WITH_DAY, FAILING, BAD_SQL, PLAIN, WITH_REGION, PLAIN_BAD = range(1, 9)


class Driver:
    """Sends requests to a sandbox and lets its time pass as they need it."""

    def __init__(self, core: SandboxCore, clock: VirtualClock) -> None:
        self.core = core
        self.clock = clock
        self.token: str | None = None
        self.token_name = core.dinky.version.token_name

    async def send(self, method: str, path: str, json: Any = None, **query: Any) -> Response:
        request = Request.of(
            method, path, query=query, json=json, token=self.token, token_name=self.token_name
        )
        return await self.clock.run(self.core.handle(request))

    async def get(self, path: str, **query: Any) -> Any:
        return (await self.send("GET", path, **query)).json

    async def post(self, path: str, json: Any = None, **query: Any) -> Any:
        return (await self.send("POST", path, json, **query)).json

    async def submit(self, task_id: int, path: str = "", **variables: str) -> Any:
        body = {"id": task_id, "savePointPath": path, "variables": variables}
        return await self.post("/openapi/submitTask", body)

    async def start(self, task_id: int, path: str = "", **variables: str) -> int:
        """Submit, wait until Dinky says RUNNING and return the job instance's id."""
        answer = await self.submit(task_id, path, **variables)
        instance_id: int = answer["data"]["jobInstanceId"]
        await self.until(instance_id, "RUNNING")
        return instance_id

    async def instance(self, instance_id: int) -> Any:
        return (await self.get("/openapi/getJobInstance", id=instance_id))["data"]

    async def status(self, instance_id: int) -> str:
        return str((await self.instance(instance_id))["status"])

    async def until(self, instance_id: int, status: str, within: float = 120.0) -> float:
        """Let time pass until Dinky says ``status``; return how many seconds that took."""
        begin = self.clock.now()
        while await self.status(instance_id) != status:
            passed = self.clock.now() - begin
            assert passed < within, f"still {await self.status(instance_id)} after {passed:.0f} s"
            await self.clock.advance(0.25)
        return self.clock.now() - begin

    async def sign_in(self) -> str:
        answer = await self.send("POST", "/api/login", {"username": "admin", "password": "admin"})
        self.token = answer.headers["Set-Cookie"].split(";")[0].partition("=")[2]
        return self.token


@pytest.fixture
def make_driver() -> Iterator[Callable[..., Driver]]:
    """Build drivers of sandboxes; the parameters are those of SandboxCore."""
    cores: list[SandboxCore] = []

    def make(**parameters: Any) -> Driver:
        clock = VirtualClock()
        core = SandboxCore(**{"clock": clock, "quirks": False, "seed": 7, **parameters})
        cores.append(core)
        return Driver(core, clock)

    yield make
    for core in cores:
        core.close()


@pytest.fixture
def dinky(make_driver: Callable[..., Driver]) -> Driver:
    """A driver of a sandbox with the default tasks and without the tenant quirk."""
    return make_driver()
