# SPDX-License-Identifier: Apache-2.0
"""Savepoints and restarts: what is kept, what is lost, and what is left standing when they fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Driver

STREAM, BOUNDED, WITH_REGION = 1, 2, 7


async def _savepoint(dinky: Driver, kind: str, task_id: int = STREAM) -> str:
    answer = await dinky.post("/openapi/savepoint", taskId=task_id, savePointType=kind)
    assert answer["code"] == 0
    assert answer["data"]["success"] is False, "a real Dinky says false although it worked"
    return str(answer["data"]["jobInfos"][0]["savePoint"])


async def test_a_savepoint_is_a_file_and_a_job_resumes_from_it(dinky: Driver) -> None:
    await dinky.start(STREAM)
    path = await _savepoint(dinky, "trigger")
    jid = dinky.core.engine.jobs[0].jid
    assert Path(path.removeprefix("file:")).is_dir()
    assert Path(path).name.startswith(f"savepoint-{jid[:6]}-")
    answer = await dinky.submit(STREAM, path)
    assert answer["data"]["jobConfig"]["savePointPath"] == path
    assert dinky.core.engine.jobs[1].resumed_from == path


async def test_a_savepoint_that_is_not_there_fails_the_submit(dinky: Driver) -> None:
    answer = await dinky.submit(STREAM, "/no/such/savepoint")
    assert answer["code"] == 5
    last = [line for line in answer["data"].splitlines() if line.startswith("Caused by:")][-1]
    assert "Cannot find checkpoint or savepoint file/directory '/no/such/savepoint'" in last


async def test_stop_finishes_the_job_and_cancel_cancels_it(dinky: Driver) -> None:
    for kind, ends in (("stop", "FINISHED"), ("cancel", "CANCELED")):
        instance_id = await dinky.start(STREAM)
        await _savepoint(dinky, kind)
        await dinky.until(instance_id, ends)


async def test_savepoints_are_written_down(dinky: Driver) -> None:
    await dinky.sign_in()
    await dinky.start(STREAM)
    paths = [await _savepoint(dinky, "trigger"), await _savepoint(dinky, "trigger")]
    rows = (await dinky.get("/api/savepoints/listSavepointsByTaskId", taskId=STREAM))["data"]
    assert sorted(row["path"] for row in rows) == sorted(paths)
    page = await dinky.post("/api/savepoints", {"current": 1, "pageSize": 1, "taskId": STREAM, "sorter": {}})
    assert (page["total"], len(page["data"]), "code" in page) == (2, 1, False)
    jid = dinky.core.engine.jobs[0].jid
    assert (await dinky.get(f"/jobs/{jid}/checkpoints"))["counts"]["completed"] == 2


async def test_a_savepoint_of_an_ended_job_is_an_exception(dinky: Driver) -> None:
    instance_id = await dinky.start(BOUNDED)
    await dinky.until(instance_id, "FINISHED")
    answer = await dinky.post("/openapi/savepoint", taskId=BOUNDED, savePointType="trigger")
    assert answer["code"] == 5
    assert "this argument is required; it must not be null" in answer["msg"]


async def test_restart_resumes_from_the_savepoint_it_takes(dinky: Driver) -> None:
    old = await dinky.start(STREAM)
    answer = await dinky.get("/openapi/restartTask", id=STREAM)
    first, second = dinky.core.engine.jobs
    assert (first.state, second.active) == ("CANCELED", True)
    assert second.resumed_from == answer["data"]["jobConfig"]["savePointPath"] == first.savepoints[-1]
    assert await dinky.status(old) == "CANCELED"


async def test_restart_of_what_does_not_run_is_a_submit(dinky: Driver) -> None:
    answer = await dinky.get("/openapi/restartTask", id=STREAM)
    assert answer["data"]["jobConfig"]["savePointPath"] is None
    assert len(dinky.core.engine.jobs) == 1


async def test_restart_with_a_bad_path_leaves_the_job_down(dinky: Driver) -> None:
    old = await dinky.start(STREAM)
    answer = await dinky.get("/openapi/restartTask", id=STREAM, savePointPath="/no/such/savepoint")
    assert answer["code"] == 5
    assert await dinky.status(old) == "CANCELED"
    assert [job.active for job in dinky.core.engine.jobs] == [False]


async def test_restart_drops_the_variables_and_leaves_the_job_down(dinky: Driver) -> None:
    old = await dinky.start(WITH_REGION, region="EU")
    answer = await dinky.get("/openapi/restartTask", id=WITH_REGION)
    assert answer["code"] == 1
    assert "does not exist" in answer["msg"]
    assert await dinky.status(old) == "CANCELED"


async def test_restart_gives_up_on_a_job_that_takes_too_long_to_stop(dinky: Driver) -> None:
    await dinky.start(STREAM)
    dinky.core.slow_stop(60.0)
    begin = dinky.clock.now()
    answer = await dinky.get("/openapi/restartTask", id=STREAM)
    assert (answer["code"], answer["msg"]) == (1, "stop job failed, please check job status")
    assert 22.0 <= dinky.clock.now() - begin <= 26.0
    assert len(dinky.core.engine.jobs) == 1


async def test_a_savepoint_that_fails_keeps_a_restart_from_touching_the_job(dinky: Driver) -> None:
    await dinky.start(STREAM)
    dinky.core.fail_savepoints()
    assert (await dinky.get("/openapi/restartTask", id=STREAM))["code"] == 5
    await dinky.clock.advance(30.0)
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING"]


async def test_a_forced_cancel_that_does_nothing_is_true_and_says_unknown(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(STREAM)
    dinky.core.fail_cancels()
    assert (await dinky.get("/openapi/cancel", id=STREAM))["data"] is True
    row = await dinky.instance(instance_id)
    assert (row["status"], row["error"], row["finishTime"]) == ("UNKNOWN", None, "1970-01-01 00:00:00")
    await dinky.clock.advance(60.0)
    assert await dinky.status(instance_id) == "UNKNOWN"
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING"]
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=instance_id, isForce="true")
    assert await dinky.status(instance_id) == "RUNNING"
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.until(instance_id, "CANCELED")


async def test_unknown_counts_as_stopped_for_a_restart(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    dinky.core.set_status(instance_id, "UNKNOWN")
    await dinky.get("/openapi/restartTask", id=STREAM)
    assert [(job.active, job.resumed_from) for job in dinky.core.engine.jobs] == [(True, None), (True, None)]


async def test_cancel_with_a_failing_savepoint_cancels_all_the_same(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    dinky.core.fail_savepoints()
    answer = await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType="stop")
    assert answer["code"] == 5
    assert await dinky.status(instance_id) == "RUNNING"
    cancelled = await dinky.get("/openapi/cancel", id=STREAM, withSavePoint="true")
    assert cancelled["data"] is True
    await dinky.until(instance_id, "CANCELED")
    assert dinky.core.engine.jobs[0].savepoints == ()
