# SPDX-License-Identifier: Apache-2.0
"""The record that the engine on a real Flink keeps of its jobs, with a cluster that only says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.engine import EngineUnreachable, Submission
from airflow_provider_dinky.sandbox.flink.engine import FlinkEngine
from airflow_provider_dinky.sandbox.flink.rest import FlinkRest
from airflow_provider_dinky.sandbox.messages import Request


class Cluster:
    """Flink's REST API and what submits to it: ``overview`` is what it knows, None while it is gone."""

    address = "flink:8081"

    def __init__(self) -> None:
        self.overview: list[dict[str, Any]] | None = []
        self.meanwhile: Callable[[], None] = lambda: None
        self._submitted = 0

    def ask_blocking(self, path: str) -> Any:
        if self.overview is None:
            raise EngineUnreachable(self.address)
        answer = {"jobs": list(self.overview)}
        self.meanwhile()
        return answer

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        return {}

    async def submit(self, statements: Any, configuration: Any) -> str:
        self._submitted += 1
        return f"j{self._submitted}"


def seen(jid: str, state: str = "RUNNING", end: int = -1) -> dict[str, Any]:
    return {"jid": jid, "state": state, "start-time": 1000, "end-time": end}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def engine(cluster: Cluster) -> FlinkEngine:
    return FlinkEngine(cluster, cluster)  # type: ignore[arg-type]


def submit(engine: FlinkEngine) -> None:
    asyncio.run(engine.submit(Submission(DEFAULT_TASKS[0], "INSERT INTO a SELECT 1")))


def states(engine: FlinkEngine) -> list[tuple[str, bool]]:
    return [(job.state, job.active) for job in engine.jobs]


def test_a_job_submitted_while_flink_is_asked_is_not_lost(engine: FlinkEngine, cluster: Cluster) -> None:
    cluster.meanwhile = lambda: submit(engine)
    assert states(engine) == [("INITIALIZING", True)]
    cluster.meanwhile = lambda: None
    cluster.overview = [seen("j1")]
    assert states(engine) == [("RUNNING", True)]


def test_a_lost_job_that_flink_finds_again_runs(engine: FlinkEngine, cluster: Cluster) -> None:
    submit(engine)
    assert states(engine) == [("LOST", False)]
    lost_at = engine.jobs[0].ended
    assert engine.jobs[0].ended == lost_at
    cluster.overview = None
    assert states(engine) == [("LOST", False)]
    cluster.overview = [seen("j1")]
    assert states(engine) == [("RUNNING", True)]


def test_a_job_that_has_ended_stays_so_when_flink_forgets_it(engine: FlinkEngine, cluster: Cluster) -> None:
    submit(engine)
    cluster.overview = [seen("j1", "FINISHED", end=2000)]
    assert states(engine) == [("FINISHED", False)]
    cluster.overview = []
    assert states(engine) == [("FINISHED", False)]


async def test_the_page_asks_flink_beside_the_event_loop(engine: FlinkEngine, cluster: Cluster) -> None:
    loops: list[bool] = []

    def note() -> None:
        try:
            asyncio.get_running_loop()
            loops.append(True)
        except RuntimeError:
            loops.append(False)

    cluster.meanwhile = note
    core = SandboxCore(engine=engine)
    try:
        answer = await core.handle(Request("GET", "/sandbox/state"))
    finally:
        core.close()
    assert answer.json["jobs"] == []
    assert loops == [False]


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1:8081"), ("::1", "[::1]:8081")])
def test_address(host: str, address: str) -> None:
    assert FlinkRest(host, 8081).address == address
