# SPDX-License-Identifier: Apache-2.0
"""The model test's Airflow, whose tries can die, against a sandbox over HTTP: real sockets, the real client.

Everything goes ``speed`` times faster: the sandbox by itself, a task's waiting and the client's time-outs here. All
seconds below are those of the sandbox's clock.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_dinky.client import calls, wire
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.sandbox import Sandbox
from tests.model.world import Crash, Run, Tries

SUBMIT_TIMEOUT, SAVEPOINT_TIMEOUT, READ_TIMEOUT = 40.0, 50.0, 20.0
SETTLED = 60.0 + 5.0 + SAVEPOINT_TIMEOUT + 5.0
"""Seconds after which nothing that was sent can be under way: the client's own reckoning, and a little more."""
ACTING = 0
"""The point of a plan that is the first request of the try that starts or stops a job, wherever that comes."""
NOWHERE = "http://127.0.0.1:9"
"""An address where nothing listens."""


@dataclass(frozen=True)
class Variant:
    """Who is put to the test.

    :param promised: the product promises that nothing is counted here but what was submitted.
    """

    name: str
    signed_in: bool
    has_store: bool
    promised: bool = True
    naive: bool = False


class HttpWorld(Tries):
    """One sandbox on a port of its own, and what Airflow does with it."""

    def __init__(self, variant: Variant, *, speed: float, seed: int) -> None:
        self.sandbox = Sandbox(speed=speed, seed=seed, workers=3)
        self.sandbox.start()
        self.speed = speed
        self.variant = variant
        self._chance = random.Random(seed)
        self._epoch, self._start = time.time(), time.monotonic()
        config = DinkyConfig(
            self.sandbox.url,
            name="dinky_default",
            username="admin" if variant.signed_in else None,
            password="admin" if variant.signed_in else None,
            read_timeout=READ_TIMEOUT,
            submit_timeout=SUBMIT_TIMEOUT,
            savepoint_timeout=SAVEPOINT_TIMEOUT,
            trust_env=False,
        )
        super().__init__(config, has_store=variant.has_store)

    def now(self) -> float:
        return self._epoch + (time.monotonic() - self._start) * self.speed

    def wait(self, seconds: float) -> None:
        time.sleep(seconds / self.speed)

    def client(self) -> DinkyClient:
        return FaultyClient(self)

    def fault_here(self, *, acts: bool = False) -> str | None:
        fault = super().fault_here(acts=acts)
        return self.plan.pop(ACTING, fault) if acts else fault

    def close(self) -> None:
        self.sandbox.stop()

    def _operator(self, run: Run) -> Any:
        return NaiveTask(self, run) if self.variant.naive else super()._operator(run)


class FaultyClient(DinkyClient):
    """The real client; what befalls a request happens on the wire, or in the sandbox, wherever that is possible."""

    def __init__(self, world: HttpWorld) -> None:
        super().__init__(world.config, sleep=world.wait)
        self._world = world

    def _exchange(self, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        fault = self._world.fault_here(acts=not call.repeatable)
        if fault == "crash before":
            raise Crash
        if fault is None:
            return self._deliver(call, request)
        if fault == "crash during":
            # The client goes away while the server works on what it has received.
            request = replace(request, read_timeout=0.001 * self._world.speed)
        elif fault == "refused":
            request = replace(request, url=request.url.replace(self.config.base_url, NOWHERE))
        else:
            self._break(fault, request)
        try:
            return self._deliver(call, request, dies=fault.startswith("crash"))
        finally:
            self._world.sandbox.clear_faults()

    def _deliver(self, call: ApiCall[Any], request: wire.Request, *, dies: bool = False) -> wire.Reply:
        request = replace(request, read_timeout=request.read_timeout / self._world.speed)
        try:
            reply = super()._exchange(call, request)
        except DinkyError:
            if dies:
                raise Crash from None
            raise
        if dies:
            raise Crash
        return reply

    def _break(self, fault: str, request: wire.Request) -> None:
        sandbox, path = self._world.sandbox, urlsplit(request.url).path
        kind, _, when = fault.partition(" ")
        if kind == "reset":
            sandbox.fault("reset", path, when=when)
        elif kind == "502":
            sandbox.fault("status", path, status=502, when=when)
        elif kind == "html":
            sandbox.fault("body", path, body="<html>Sign in to the proxy", when="after")
        elif kind == "code":
            failure = '{"data": null, "code": 5, "msg": "java.sql.SQLTransientException", "success": false}'
            sandbox.fault("body", path, body=failure, content_type="application/json")
        elif kind == "late":
            sandbox.fault("latency", path, seconds=request.read_timeout * 1.1)


class NaiveTask:
    """What a hand-written HTTP operator does: ask, take code 0 for done and all else for a failed try.

    A submit is one POST to ``submitTask``, a restart one GET of ``restartTask``; Airflow's retries do the rest.
    """

    retries = 1_000

    def __init__(self, world: HttpWorld, run: Run) -> None:
        self.task_id = run.kind
        self._client = FaultyClient(world)
        self._run = run

    def execute(self, context: Mapping[str, Any]) -> None:
        run = self._run
        path = run.parameters.get("savepoint_path")
        call: ApiCall[Any]
        if run.kind == "restart":
            call = calls.restart_task(run.dinky_task_id, path)
        else:
            call = calls.submit_task(run.dinky_task_id, path, run.parameters.get("variables"))
        reply = self._client._exchange(call, wire.build(self._client.config, call))
        answer = json.loads(reply.body) if reply.status == 200 else {}
        if answer.get("code") != 0:
            raise RuntimeError(f"HTTP {reply.status}: {reply.body[:200]!r}")
        context["ti"].xcom_push("response", answer["data"])


def jobs_in_words(world: HttpWorld) -> str:
    """The engine's record, for a person who looks into a finding."""
    return "\n".join(
        f"  {job.jid[:6]} task {job.task_id} {job.state:9} {job.started - world._epoch:8.1f} to "
        f"{'now' if job.ended is None else f'{job.ended - world._epoch:.1f}'}, from {job.resumed_from}, "
        f"mark {job.variables.get('airflow_run_key')}, took {list(job.savepoints)}"
        for job in world.sandbox.engine.jobs
    )


__all__ = ["ACTING", "SETTLED", "HttpWorld", "Run", "Variant", "jobs_in_words"]
