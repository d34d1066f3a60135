# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a real Flink: what stays of a failed job, and that the simulated engine tells the same."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import requests

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.clock import VirtualClock
from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.engine import Submission
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM
from airflow_provider_dinky.sandbox.simulated import SimulatedEngine

from .conftest import until
from .orders import rows, sums, wait_for

sys.path.append(str(Path(__file__).parents[1] / "contract"))

from compare import differences

CHECKPOINTED = 10
VIEWS = ("checkpoints", "checkpoints/config")


def submit(sandbox: Sandbox, task_id: int, path: str = "") -> str:
    body = {"id": task_id, "savePointPath": path}
    answer = requests.post(f"{sandbox.url}/openapi/submitTask", json=body, timeout=60).json()
    assert answer["code"] == 0, answer["msg"]
    return str(answer["data"]["jobId"])


def checkpoints(sandbox: Sandbox, job_id: str, view: str = "") -> Any:
    address = f"http://{sandbox.engine.address}"
    return requests.get(f"{address}/jobs/{job_id}/checkpoints{view}", timeout=60).json()


def test_a_failed_job_leaves_its_newest_checkpoint_and_another_goes_on_from_it(
    flink: FlinkRuntime, sandbox: Sandbox, turnover: Path
) -> None:
    failed = submit(sandbox, TURNOVER_STREAM)
    wait_for(turnover, 10)
    sandbox.lose_task_manager()
    until(lambda: sandbox.engine.jobs[0].state == "FAILED")
    newest = checkpoints(sandbox, failed)["latest"]["completed"]
    path = newest["external_path"]
    assert newest["discarded"] is False
    assert Path(path.removeprefix("file:")).is_dir()
    before = len(rows(turnover))

    assert flink.cluster is not None
    flink.cluster.wait_until_alive()
    job_id = submit(sandbox, TURNOVER_STREAM, path)
    wait_for(turnover, before + 10)
    written = rows(turnover)
    assert written == sums(len(written))
    shown = checkpoints(sandbox, job_id)
    restored = shown["latest"]["restored"]
    assert (restored["id"], restored["external_path"]) == (newest["id"], path)
    assert shown["latest"]["completed"]["id"] > newest["id"]


def test_the_simulated_engine_tells_of_them_in_the_same_words(sandbox: Sandbox, tmp_path: Path) -> None:
    job_id = submit(sandbox, CHECKPOINTED)
    until(lambda: checkpoints(sandbox, job_id)["latest"]["completed"])
    real = checkpoints(sandbox, job_id), checkpoints(sandbox, job_id, "/config")
    again = submit(sandbox, CHECKPOINTED, real[0]["latest"]["completed"]["external_path"])
    until(lambda: checkpoints(sandbox, again)["latest"]["restored"])
    simulated, restored = asyncio.run(simulate(tmp_path))
    found = [one for pair in zip(real, simulated, strict=True) for one in differences(*pair)]
    found += differences(checkpoints(sandbox, again)["latest"]["restored"], restored)
    # Each engine has its own folder.
    assert [one for one in found if not one[0].endswith("external_path")] == []


async def simulate(savepoints: Path) -> tuple[list[Any], Any]:
    """What the simulated engine tells of such a job, and of one that was started from its checkpoint."""
    clock = VirtualClock()
    engine = SimulatedEngine(clock, savepoints)
    task = next(task for task in DEFAULT_TASKS if task.id == CHECKPOINTED)
    job_id = await engine.submit(Submission(task, task.sql))
    await clock.advance(11.0)
    views = [(await engine.rest("GET", f"/jobs/{job_id}/{view}", {})).body for view in VIEWS]
    path = views[0]["latest"]["completed"]["external_path"]
    again = await engine.submit(Submission(task, task.sql, savepoint_path=path))
    shown = (await engine.rest("GET", f"/jobs/{again}/checkpoints", {})).body
    return views, shown["latest"]["restored"]
