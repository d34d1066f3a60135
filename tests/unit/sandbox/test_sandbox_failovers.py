# SPDX-License-Identifier: Apache-2.0
"""Jobs that fail and go on by themselves, as with a restart strategy of Flink."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.engine import JobNotFound
from airflow_provider_dinky.sandbox.timing import Timing

if TYPE_CHECKING:
    from conftest import Driver

STREAM, CHECKPOINTED = 1, 10
EVERY = 10.0
AWAY = 30.0


@pytest.fixture
def slow(make_driver: Callable[..., Driver]) -> Driver:
    """A sandbox whose jobs take a while to start, so that Dinky sees them restart."""
    return make_driver(timing=Timing(job_start=AWAY), control=True)


async def rest(dinky: Driver, view: str = "") -> Any:
    return await dinky.get(f"/jobs/{dinky.core.engine.jobs[0].jid}{view}")


async def test_it_is_restarting_and_then_runs_again(slow: Driver) -> None:
    instance_id = await slow.start(STREAM)
    job = slow.core.engine.jobs[0]
    failed_at = slow.clock.now()
    slow.core.restart_job(job.jid)
    details = await rest(slow)
    assert details["state"] == "RESTARTING"
    assert details["timestamps"]["RESTARTING"] == pytest.approx(failed_at * 1000, abs=1)
    assert details["vertices"][0]["status"] == "FAILED"
    assert (await slow.get("/jobs/overview"))["jobs"][0]["tasks"]["failed"] == 1
    await slow.until(instance_id, "RESTARTING")
    assert await slow.until(instance_id, "RUNNING") <= AWAY + 10.0
    details = await rest(slow)
    assert details["state"] == "RUNNING"
    assert details["timestamps"]["RUNNING"] == pytest.approx((failed_at + AWAY) * 1000, abs=1)
    assert [one.jid for one in slow.core.engine.jobs] == [job.jid]


async def test_what_it_survived_is_told(slow: Driver) -> None:
    await slow.start(STREAM)
    jid = slow.core.engine.jobs[0].jid
    assert (await rest(slow, "/exceptions"))["exceptionHistory"]["entries"] == []
    slow.core.restart_job(jid, "java.io.IOException: disk full")
    assert len((await rest(slow, "/exceptions"))["all-exceptions"]) == 1
    await slow.clock.advance(AWAY)
    second = slow.clock.now()
    slow.core.restart_job(jid, "java.io.IOException: still full")
    await slow.clock.advance(AWAY)
    told = await rest(slow, "/exceptions")
    assert told["root-exception"].startswith("java.io.IOException: still full\n")
    assert told["timestamp"] == pytest.approx(second * 1000, abs=1)
    assert told["all-exceptions"] == []
    newest, oldest = told["exceptionHistory"]["entries"]
    assert newest["timestamp"] == told["timestamp"] > oldest["timestamp"]
    assert "disk full" in oldest["stacktrace"]
    assert [one["taskName"][-1] for one in (oldest, newest)] == ["0", "1"]


async def test_the_failure_that_ended_it_is_told_first(slow: Driver) -> None:
    instance_id = await slow.start(STREAM)
    jid = slow.core.engine.jobs[0].jid
    slow.core.restart_job(jid, "java.io.IOException: disk full")
    await slow.clock.advance(AWAY)
    slow.core.kill_job(jid, "java.io.IOException: disk broken")
    await slow.until(instance_id, "FAILED")
    told = await rest(slow, "/exceptions")
    assert told["root-exception"].startswith("org.apache.flink.runtime.JobException: Recovery is suppressed")
    assert [one["exceptionName"] for one in told["exceptionHistory"]["entries"]] == [
        "org.apache.flink.runtime.JobException",
        "java.io.IOException",
    ]


async def test_flink_keeps_the_last_sixteen(dinky: Driver) -> None:
    await dinky.start(STREAM)
    for number in range(20):
        dinky.core.restart_job(dinky.core.engine.jobs[0].jid, f"java.io.IOException: number {number}")
        await dinky.clock.advance(1.0)
    entries = (await rest(dinky, "/exceptions"))["exceptionHistory"]["entries"]
    assert len(entries) == 16
    assert "number 19" in entries[0]["stacktrace"]


async def test_it_begins_with_its_newest_checkpoint(slow: Driver) -> None:
    await slow.start(CHECKPOINTED)
    await slow.clock.advance(2 * EVERY)
    before = (await rest(slow, "/checkpoints"))["latest"]["completed"]
    slow.core.restart_job(slow.core.engine.jobs[0].jid)
    await slow.clock.advance(AWAY - 1.0)
    meanwhile = await rest(slow, "/checkpoints")
    assert meanwhile["latest"]["completed"] == before, "none comes while it restarts"
    assert meanwhile["counts"]["restored"] == 0
    await slow.clock.advance(1.0)
    after = await rest(slow, "/checkpoints")
    assert after["counts"]["restored"] == 1
    restored = after["latest"]["restored"]
    assert (restored["id"], restored["is_savepoint"]) == (before["id"], False)
    assert restored["external_path"] == before["external_path"]
    await slow.clock.advance(EVERY)
    assert (await rest(slow, "/checkpoints"))["latest"]["completed"]["id"] == before["id"] + 1


async def test_or_with_what_it_was_started_from_but_not_with_a_later_savepoint(dinky: Driver) -> None:
    await dinky.start(STREAM)
    paths = []
    for _ in range(2):
        answer = await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType="trigger")
        paths.append(answer["data"]["jobInfos"][0]["savePoint"])
        await dinky.start(STREAM, paths[0])
    jid = dinky.core.engine.jobs[1].jid
    dinky.core.restart_job(jid)
    await dinky.clock.advance(1.0)
    shown = await dinky.get(f"/jobs/{jid}/checkpoints")
    assert shown["latest"]["savepoint"]["external_path"] == paths[1]
    assert (shown["counts"]["restored"], shown["latest"]["restored"]["external_path"]) == (2, paths[0])


async def test_no_savepoint_is_taken_meanwhile(slow: Driver) -> None:
    await slow.start(STREAM)
    slow.core.restart_job(slow.core.engine.jobs[0].jid)
    answer = await slow.post("/openapi/savepoint", taskId=STREAM, savePointType="trigger")
    assert answer["code"] == 5
    assert "is not being executed at the moment" in answer["msg"]


async def test_what_has_ended_does_not_start_again(dinky: Driver) -> None:
    await dinky.start(STREAM)
    jid = dinky.core.engine.jobs[0].jid
    dinky.core.kill_job(jid)
    with pytest.raises(ValueError, match=f"job {jid} is FAILED and does not start again"):
        dinky.core.restart_job(jid)
    with pytest.raises(JobNotFound):
        dinky.core.restart_job("00")


async def test_by_order_over_http(slow: Driver) -> None:
    await slow.start(CHECKPOINTED)
    jid = slow.core.engine.jobs[0].jid
    order = {"job_id": jid, "error": "java.io.IOException: disk full"}
    assert (await slow.post("/sandbox/restart_job", order))["done"] == "restart_job"
    assert slow.core.engine.jobs[0].state == "RESTARTING"
    await slow.post("/sandbox/fail_checkpoints")
    await slow.clock.advance(AWAY + 2 * EVERY)
    assert (await rest(slow, "/checkpoints"))["counts"]["failed"] == 2
    await slow.post("/sandbox/fail_checkpoints", {"on": False})
    await slow.clock.advance(EVERY)
    assert (await rest(slow, "/checkpoints"))["counts"]["failed"] == 2
    await slow.post("/sandbox/kill_job", {"job_id": jid})
    refused = await slow.send("POST", "/sandbox/restart_job", {"job_id": jid})
    assert (refused.status, "does not start again" in refused.json["error"]) == (400, True)
    assert (await slow.send("POST", "/sandbox/restart_job", {"job_id": "00"})).status == 400
