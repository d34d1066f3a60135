# SPDX-License-Identifier: Apache-2.0
"""A job that is RUNNING while its tasks are not: no free slot, state to restore, state that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.tasks import TaskSpec
from airflow_provider_dinky.sandbox.timing import Timing

if TYPE_CHECKING:
    from conftest import Driver

WIDE, STREAM, CHECKPOINTED = 1, 2, 3
SQL = "INSERT INTO snk SELECT customer, SUM(amount) FROM src WHERE amount > 1 GROUP BY customer;"
TASKS = [
    TaskSpec(WIDE, "wide", sql=SQL, parallelism=4),
    TaskSpec(STREAM, "stream", sql=SQL),
    TaskSpec(CHECKPOINTED, "checkpointed", sql=SQL, checkpoint_every=10.0),
]


@pytest.fixture
def dinky(make_driver: Callable[..., Driver]) -> Driver:
    return make_driver(tasks=TASKS, timing=Timing(restore=4.0))


async def counts(dinky: Driver, number: int = 0) -> dict[str, int]:
    """Flink's own counts of a job's tasks, without the states in which none is."""
    jid = dinky.core.engine.jobs[number].jid
    listed = (await dinky.get("/jobs/overview"))["jobs"]
    (tasks,) = [job["tasks"] for job in listed if job["jid"] == jid]
    return {name: count for name, count in tasks.items() if count}


async def detail(dinky: Driver, instance_id: int) -> Any:
    path = "/api/jobInstance/refreshJobInfoDetail"
    return (await dinky.get(path, id=instance_id, isForce="true"))["data"]


async def test_without_a_free_slot_a_job_runs_and_its_tasks_do_not(dinky: Driver) -> None:
    await dinky.sign_in()
    dinky.core.free_slots(False)
    instance_id = await dinky.start(WIDE)
    assert await counts(dinky) == {"total": 4, "created": 4}
    (vertex,) = (await detail(dinky, instance_id))["jobDataDto"]["job"]["vertices"]
    assert (vertex["status"], vertex["parallelism"], vertex["tasks"]["CREATED"]) == ("CREATED", 4, 4)
    savepoint = await dinky.post("/openapi/savepoint", taskId=WIDE, savePointType="trigger")
    assert savepoint["code"] == 5
    await dinky.until(instance_id, "FAILED", within=330.0)
    exceptions = (await detail(dinky, instance_id))["jobDataDto"]["exceptions"]
    assert "NoResourceAvailableException" in exceptions["root-exception"]
    job = dinky.core.engine.jobs[0]
    assert (job.ended or 0.0) - job.started == pytest.approx(300.0, abs=1.0)


async def test_a_slot_that_becomes_free_is_taken(dinky: Driver) -> None:
    dinky.core.free_slots(False)
    instance_id = await dinky.start(WIDE)
    await dinky.clock.advance(200.0)
    dinky.core.free_slots(True)
    await dinky.clock.advance(0.25)
    assert await counts(dinky) == {"total": 4, "running": 4}
    await dinky.clock.advance(400.0)
    assert await dinky.status(instance_id) == "RUNNING"


async def test_a_job_that_waits_for_a_slot_can_be_cancelled(dinky: Driver) -> None:
    dinky.core.free_slots(False)
    instance_id = await dinky.start(WIDE)
    await dinky.get("/openapi/cancel", id=WIDE)
    await dinky.until(instance_id, "CANCELED")
    dinky.core.free_slots(True)
    await dinky.clock.advance(10.0)
    assert [job.state for job in dinky.core.engine.jobs] == ["CANCELED"]


async def test_tasks_are_initializing_one_by_one_while_they_restore(dinky: Driver) -> None:
    await dinky.start(WIDE)
    restarted = await dinky.get("/openapi/restartTask", id=WIDE)
    assert restarted["code"] == 0
    seen = []
    for _ in range(30):
        seen.append(await counts(dinky, 1))
        await dinky.clock.advance(0.25)
    assert seen[0] == {"total": 4, "created": 4}
    assert {"total": 4, "initializing": 4} in seen
    assert {"total": 4, "initializing": 2, "running": 2} in seen
    assert seen[-1] == {"total": 4, "running": 4}


async def _restart_changed(dinky: Driver, task_id: int, sql: str) -> int:
    await dinky.start(task_id)
    dinky.core.change_sql(task_id, sql)
    answer = await dinky.get("/openapi/restartTask", id=task_id)
    assert answer["code"] == 0, "that the state does not fit comes out later"
    return int(answer["data"]["jobInstanceId"])


async def test_state_fits_another_filter(dinky: Driver) -> None:
    await _restart_changed(dinky, STREAM, SQL.replace("> 1", "> 2"))
    await dinky.clock.advance(60.0)
    assert dinky.core.engine.jobs[-1].state == "RUNNING"


async def test_state_that_does_not_fit_fails_a_job_without_checkpoints(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await _restart_changed(dinky, STREAM, SQL.replace("SUM(amount)", "SUM(amount), COUNT(*)"))
    await dinky.until(instance_id, "FAILED")
    exceptions = (await detail(dinky, instance_id))["jobDataDto"]["exceptions"]
    assert "StateMigrationException" in exceptions["root-exception"]


async def test_state_that_does_not_fit_restarts_a_job_with_checkpoints_for_ever(dinky: Driver) -> None:
    await dinky.sign_in()
    sql = SQL.replace("SUM(amount)", "SUM(amount), MAX(amount)")
    instance_id = await _restart_changed(dinky, CHECKPOINTED, sql)
    states, tasks = set(), []
    for _ in range(120):
        await dinky.clock.advance(0.5)
        states.add(await dinky.status(instance_id))
        tasks.append(await counts(dinky, 1))
    assert states == {"INITIALIZING", "RUNNING", "RESTARTING"}
    assert not any("running" in one for one in tasks)
    data = (await detail(dinky, instance_id))["jobDataDto"]
    assert data["checkpoints"]["counts"]["completed"] == 0
    entries = data["exceptions"]["exceptionHistory"]["entries"]
    assert len(entries) >= 10
    assert all("StateMigrationException" in entry["stacktrace"] for entry in entries)
    await dinky.get("/openapi/cancel", id=CHECKPOINTED)
    await dinky.until(instance_id, "CANCELED")


async def test_the_sql_names_the_job(make_driver: Callable[..., Driver]) -> None:
    dinky = make_driver(tasks=[TaskSpec(1, "a", sql=f"SET 'pipeline.name' = 'b';\n{SQL}")])
    await dinky.submit(1)
    assert [job["name"] for job in (await dinky.get("/jobs/overview"))["jobs"]] == ["b"]
