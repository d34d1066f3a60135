# SPDX-License-Identifier: Apache-2.0
"""A cluster that goes away and comes back, and a server that restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from airflow_provider_dinky.sandbox.messages import ConnectionDropped, Request

if TYPE_CHECKING:
    from conftest import Driver

STREAM, BOUNDED = 1, 2


async def test_dinky_reconnects_for_a_minute_and_then_gives_up(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(STREAM)
    dinky.core.kill_cluster()
    assert await dinky.until(instance_id, "RECONNECTING") <= 10.0
    assert 55.0 <= await dinky.until(instance_id, "UNKNOWN") <= 75.0
    assert (await dinky.instance(instance_id))["error"] == "ConnectException: Connection refused"
    dinky.core.revive_cluster()
    await dinky.clock.advance(300.0)
    assert await dinky.status(instance_id) == "UNKNOWN", "Dinky looks no more"
    await dinky.get("/api/jobInstance/refreshJobInfoDetail", id=instance_id, isForce="true")
    assert await dinky.status(instance_id) == "RUNNING"
    await dinky.get("/openapi/cancel", id=STREAM)
    await dinky.until(instance_id, "CANCELED")


async def test_a_cluster_that_comes_back_in_time_is_running_again(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    dinky.core.kill_cluster()
    await dinky.until(instance_id, "RECONNECTING")
    dinky.core.revive_cluster()
    await dinky.until(instance_id, "RUNNING", within=11.0)


async def test_a_cluster_that_comes_back_without_its_jobs(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    dinky.core.kill_cluster()
    dinky.core.revive_cluster(jobs_survive=False)
    await dinky.until(instance_id, "UNKNOWN")
    job = dinky.core.engine.jobs[0]
    assert (job.state, job.active) == ("LOST", False)
    assert (await dinky.send("GET", f"/jobs/{job.jid}")).status == 404


async def test_verbs_while_the_cluster_is_gone(dinky: Driver) -> None:
    await dinky.start(STREAM)
    dinky.core.kill_cluster()
    submitted = await dinky.submit(STREAM)
    assert submitted["code"] == 5
    assert "Caused by: java.net.ConnectException: Connection refused" in submitted["data"]
    savepoint = await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType="trigger")
    gentle = await dinky.get("/openapi/cancel", id=STREAM, forceCancel="false")
    forced = await dinky.get("/openapi/cancel", id=STREAM)
    assert (savepoint["code"], gentle["code"], forced["data"]) == (1, 1, True)
    with pytest.raises(ConnectionDropped):
        await dinky.get("/jobs/overview")


async def test_a_lost_task_manager_fails_every_job_19_seconds_later(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    dinky.core.lose_task_manager()
    await dinky.clock.advance(18.0)
    assert dinky.core.engine.jobs[0].state == "RUNNING"
    await dinky.until(instance_id, "FAILED")


async def test_a_restarted_server_goes_on_with_its_jobs(dinky: Driver) -> None:
    instance_id = await dinky.start(BOUNDED)
    restart = asyncio.get_running_loop().create_task(dinky.core.restart(down_for=30.0))
    await dinky.clock.advance(1.0)
    with pytest.raises(ConnectionDropped):
        await dinky.get("/openapi/version")
    await dinky.clock.advance(30.0)
    await restart
    await dinky.until(instance_id, "FINISHED")


async def test_a_server_that_lost_its_memory_knows_no_job_but_flink_does(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    await dinky.clock.run(dinky.core.restart(keep_memory=False))
    answer = await dinky.get("/openapi/getJobInstance", id=instance_id)
    assert (answer["code"], answer["msg"]) == (1, "Job Instance Not Exist")
    assert dinky.core.engine.jobs[0].active


async def test_a_restart_drops_the_requests_under_way(dinky: Driver) -> None:
    request = Request.of("POST", "/openapi/submitTask", json={"id": STREAM})
    waiting = asyncio.get_running_loop().create_task(dinky.core.handle(request))
    await dinky.clock.advance(0.1)
    await dinky.clock.run(dinky.core.restart())
    with pytest.raises(ConnectionDropped):
        await waiting
    await dinky.clock.advance(10.0)
    assert dinky.core.engine.jobs == ()
