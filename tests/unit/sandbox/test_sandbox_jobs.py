# SPDX-License-Identifier: Apache-2.0
"""Jobs: how they start, what Dinky says of them meanwhile, and how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from airflow_provider_dinky.sandbox.messages import Request

if TYPE_CHECKING:
    from conftest import Driver

STREAM, BOUNDED, WITH_DAY, FAILING, BAD_SQL, PLAIN, WITH_REGION, PLAIN_BAD = range(1, 9)


async def test_a_bounded_job_runs_and_finishes(dinky: Driver) -> None:
    instance_id = (await dinky.submit(BOUNDED))["data"]["jobInstanceId"]
    just_submitted = await dinky.instance(instance_id)
    assert (just_submitted["status"], just_submitted["finishTime"]) == ("INITIALIZING", None)
    assert 0.9 <= await dinky.until(instance_id, "RUNNING") <= 8.3
    assert (await dinky.instance(instance_id))["finishTime"] == "1970-01-01 00:00:00"
    await dinky.until(instance_id, "FINISHED")
    finished = await dinky.instance(instance_id)
    assert finished["duration"] == 10_000
    assert finished["finishTime"] > finished["createTime"]


async def test_a_failing_job_says_why_only_in_flink(dinky: Driver) -> None:
    instance_id = (await dinky.submit(FAILING))["data"]["jobInstanceId"]
    await dinky.until(instance_id, "FAILED")
    failed = await dinky.instance(instance_id)
    assert failed["error"] is None
    exceptions = await dinky.get(f"/jobs/{failed['jid']}/exceptions")
    causes = [line for line in exceptions["root-exception"].splitlines() if line.startswith("Caused by:")]
    assert "java.lang.NumberFormatException: For input string: 'twelve'" in causes[-1]


async def test_bad_sql_is_an_exception_with_its_trace(dinky: Driver) -> None:
    answer = await dinky.submit(BAD_SQL)
    assert answer["code"] == 5
    assert answer["msg"].startswith("java.lang.Exception: Exception in executing FlinkSQL:")
    assert "\n\tat org.dinky." in answer["data"]
    assert "Caused by: org.apache.calcite.runtime.CalciteException: Non-query expression" in answer["data"]
    assert dinky.core.engine.jobs == ()


async def test_submitting_again_starts_a_second_job_beside_the_first(dinky: Driver) -> None:
    first, second = await dinky.start(STREAM), await dinky.start(STREAM)
    assert second > first
    assert [job.active for job in dinky.core.engine.jobs] == [True, True]
    newest = await dinky.get("/openapi/getJobInstanceByTaskId", id=STREAM)
    assert newest["data"]["id"] == second
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.until(second, "CANCELED")
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING", "CANCELED"]


async def test_cancel_of_what_does_not_run_is_true(dinky: Driver) -> None:
    assert (await dinky.get("/openapi/cancel", id=STREAM))["data"] is True
    instance_id = await dinky.start(STREAM)
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.until(instance_id, "CANCELED")
    assert (await dinky.get("/openapi/cancel", id=STREAM))["data"] is True


@pytest.mark.parametrize("stop", ["cancel", "savepoint"])
async def test_flink_runs_on_after_a_stop_and_dinky_says_so_for_longer(dinky: Driver, stop: str) -> None:
    """Up to 1.9 s, and 4 to 10 s: both were measured."""
    flinks, dinkys = [], []
    for number in range(20):
        instance_id = await dinky.start(STREAM)
        if stop == "cancel":
            await dinky.get("/openapi/cancel", id=STREAM)
        else:
            await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType="stop")
        answered = dinky.clock.now()
        assert dinky.core.engine.jobs[number].active
        assert await dinky.status(instance_id) == "RUNNING"
        end = "CANCELED" if stop == "cancel" else "FINISHED"
        dinkys.append(await dinky.until(instance_id, end))
        flinks.append((dinky.core.engine.jobs[number].ended or 0.0) - answered)
    assert 0.0 <= min(flinks) < 0.5 < 1.5 < max(flinks) <= 1.9
    assert 4.0 <= min(dinkys) < max(dinkys) <= 10.25


async def test_a_forced_refresh_after_a_stop_sees_what_flink_says(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(STREAM)
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.clock.advance(1.9)
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=instance_id, isForce="true")
    assert await dinky.status(instance_id) == "CANCELED"


async def test_an_older_job_runs_on_behind_a_newer_one_that_was_cancelled(dinky: Driver) -> None:
    await dinky.start(STREAM)
    newer = await dinky.start(STREAM)
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.until(newer, "CANCELED")
    assert (await dinky.get("/openapi/cancel", id=STREAM))["data"] is True
    await dinky.clock.advance(30.0)
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING", "CANCELED"]


async def test_after_a_crash_ids_go_on_behind_a_gap(dinky: Driver) -> None:
    ids = []
    for _ in range(3):
        ids.append((await dinky.submit(STREAM))["data"]["jobInstanceId"])
        await dinky.clock.run(dinky.core.restart())
    assert ids == [1, 33, 65]


async def test_variables_are_needed_and_filled_in(dinky: Driver) -> None:
    refused = await dinky.submit(WITH_DAY)
    assert refused["code"] == 1
    assert 'The variable name or jexl key of sql "${day}" does not exist.' in refused["msg"]
    await dinky.submit(WITH_DAY, day="2026-01-01", airflow_run_key="dag/run/task/-1/0")
    job = dinky.core.engine.jobs[0]
    assert dict(job.variables) == {"day": "2026-01-01", "airflow_run_key": "dag/run/task/-1/0"}


async def test_plain_sql_is_done_when_the_submit_answers(dinky: Driver) -> None:
    answer = await dinky.submit(PLAIN)
    data = answer["data"]
    assert (answer["code"], data["jobInstanceId"], data["jobId"]) == (0, None, None)
    assert data["result"]["columns"] == ["country", "customers"]
    assert data["result"]["rowData"][0] == {"country": "DE", "customers": "42"}
    assert (await dinky.get("/openapi/getJobInstanceByTaskId", id=PLAIN))["data"] is None
    assert (await dinky.get("/openapi/cancel", id=PLAIN))["data"] is True
    savepoint = await dinky.post("/openapi/savepoint", taskId=PLAIN, savePointType="trigger")
    assert savepoint["msg"] == "Job Instance Not Exist"


async def test_a_failed_plain_statement_is_refused_by_submit_and_a_success_by_restart(dinky: Driver) -> None:
    submitted = await dinky.submit(PLAIN_BAD)
    restarted = await dinky.get("/openapi/restartTask", id=PLAIN_BAD)
    assert (submitted["code"], restarted["code"]) == (1, 0)
    assert submitted["data"]["success"] is restarted["data"]["success"] is False
    assert "does_not_exist" in restarted["data"]["error"]


async def test_a_client_that_gives_up_does_not_stop_the_submit(dinky: Driver) -> None:
    request = Request.of("POST", "/openapi/submitTask", json={"id": STREAM})
    waiting = asyncio.get_running_loop().create_task(dinky.core.handle(request))
    await dinky.clock.advance(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not dinky.core.engine.jobs
    await dinky.clock.advance(2.0)
    assert [job.task_id for job in dinky.core.engine.jobs] == [STREAM]


async def test_the_first_submit_after_a_start_is_slow(dinky: Driver) -> None:
    begin = dinky.clock.now()
    await dinky.submit(STREAM)
    first = dinky.clock.now() - begin
    await dinky.submit(STREAM)
    assert dinky.clock.now() - begin - first < first


async def test_the_history_knows_a_submit_before_the_job_starts(dinky: Driver) -> None:
    await dinky.sign_in()
    body = {"id": STREAM, "variables": {"airflow_run_key": "mine"}}
    request = Request.of("POST", "/openapi/submitTask", json=body)
    waiting = asyncio.get_running_loop().create_task(dinky.core.handle(request))
    await dinky.clock.advance(0.1)
    page = {"current": 1, "pageSize": 20, "filter": {}, "sorter": {"id": "descend"}, "taskId": STREAM}
    starting = (await dinky.post("/api/history/list", page))["data"][0]
    assert (starting["status"], starting["jobId"]) == (0, None)
    assert starting["configJson"]["variables"] == {"airflow_run_key": "mine"}
    await dinky.clock.run(asyncio.wait_for(waiting, None))
    accepted = (await dinky.post("/api/history/list", page))["data"][0]
    assert (accepted["status"], accepted["id"]) == (2, starting["id"])
    await dinky.submit(BAD_SQL)
    failed = (await dinky.post("/api/history/list", {**page, "taskId": BAD_SQL}))["data"][0]
    assert failed["status"] == 3
    assert "SQL parse failed" in failed["error"]


async def test_the_known_bug_keeps_running_until_a_forced_refresh(dinky: Driver) -> None:
    await dinky.sign_in()
    dinky.core.miss_the_end()
    instance_id = await dinky.start(BOUNDED)
    await dinky.clock.advance(300.0)
    assert await dinky.status(instance_id) == "RUNNING"
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=instance_id, isForce="false")
    assert await dinky.status(instance_id) == "RUNNING"
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=instance_id, isForce="true")
    assert await dinky.status(instance_id) == "FINISHED"


async def test_a_job_can_be_killed_finished_and_said_to_be_anything(dinky: Driver) -> None:
    await dinky.sign_in()
    killed, ended, odd = [await dinky.start(STREAM) for _ in range(3)]
    jids = [job.jid for job in dinky.core.engine.jobs]
    dinky.core.kill_job(jids[0], "java.io.IOException: disk full")
    dinky.core.finish_job(jids[1])
    dinky.core.set_status(odd, "SOMETHING_NEW")
    await dinky.until(killed, "FAILED")
    await dinky.until(ended, "FINISHED")
    assert await dinky.status(odd) == "SOMETHING_NEW"
    exceptions = await dinky.get(f"/jobs/{jids[0]}/exceptions")
    assert "Caused by: java.io.IOException: disk full" in exceptions["root-exception"]
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=odd, isForce="true")
    assert await dinky.status(odd) == "RUNNING"
