# SPDX-License-Identifier: Apache-2.0
"""Jobs that Flink does not know any more: a cluster that was restarted, and one that ended with its job."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.messages import ConnectionDropped
from airflow_provider_dinky.sandbox.tasks import APPLICATION_TYPES, TaskSpec

if TYPE_CHECKING:
    from conftest import Driver

STREAM, CHECKPOINTED = 1, 10


async def refresh(dinky: Driver, instance_id: int) -> Any:
    path = "/api/jobInstance/refreshJobInfoDetail"
    return (await dinky.get(path, id=instance_id, isForce="true"))["data"]


async def test_without_high_availability_jobs_are_unknown_for_good(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(STREAM)
    jid = dinky.core.engine.jobs[0].jid
    dinky.core.restart_cluster()
    assert (await dinky.send("GET", f"/jobs/{jid}")).status == 404
    assert (await dinky.get("/jobs/overview"))["jobs"] == []
    await dinky.until(instance_id, "UNKNOWN")
    row = await dinky.instance(instance_id)
    (error,) = json.loads(row["error"])
    assert "Caused by: org.apache.flink.runtime.messages.FlinkJobNotFoundException" in error
    assert f"Could not find Flink job ({jid})" in error
    assert not row["finishTime"].startswith("19")
    assert (await refresh(dinky, instance_id))["instance"]["status"] == "UNKNOWN"
    assert (await dinky.get("/openapi/cancel", id=STREAM))["data"] is True
    assert (await refresh(dinky, instance_id))["instance"]["status"] == "UNKNOWN"
    newer = await dinky.start(STREAM)
    newest = await dinky.get("/openapi/getJobInstanceByTaskId", id=STREAM)
    assert newest["data"]["id"] == newer
    assert [job.active for job in dinky.core.engine.jobs] == [False, True]


async def test_what_dinky_saw_of_a_lost_job_stays_in_its_details(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(25.0)
    seen = (await refresh(dinky, instance_id))["jobDataDto"]["checkpoints"]["latest"]["completed"]
    dinky.core.restart_cluster()
    await dinky.until(instance_id, "UNKNOWN")
    data = (await refresh(dinky, instance_id))["jobDataDto"]
    assert data["checkpoints"]["latest"]["completed"]["external_path"] == seen["external_path"]
    assert data["error"] is True
    assert "FlinkJobNotFoundException" in data["errorMsg"]


async def test_with_high_availability_jobs_come_back(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(25.0)
    jid = dinky.core.engine.jobs[0].jid
    dinky.core.restart_cluster(high_availability=True, recovery=90.0)
    assert (await dinky.send("GET", f"/jobs/{jid}")).status == 404
    await dinky.until(instance_id, "UNKNOWN")
    assert "FlinkJobNotFoundException" in (await dinky.instance(instance_id))["error"]
    await dinky.clock.advance(90.0)
    assert (await dinky.get(f"/jobs/{jid}"))["state"] == "RUNNING"
    assert await dinky.status(instance_id) == "UNKNOWN", "Dinky looks no more"
    assert (await refresh(dinky, instance_id))["instance"]["status"] == "RUNNING"
    assert (await dinky.get(f"/jobs/{jid}/checkpoints"))["latest"]["restored"]["is_savepoint"] is False
    assert [job.active for job in dinky.core.engine.jobs] == [True]


@pytest.fixture(params=APPLICATION_TYPES)
def with_own_cluster(request: pytest.FixtureRequest, make_driver: Callable[..., Driver]) -> Driver:
    return make_driver(tasks=[TaskSpec(1, "report", "bounded", type=request.param)])


async def test_a_cluster_of_its_own_ends_with_the_job(with_own_cluster: Driver) -> None:
    dinky = with_own_cluster
    await dinky.sign_in()
    instance_id = await dinky.start(1)
    jid = dinky.core.engine.jobs[0].jid
    assert (await refresh(dinky, instance_id))["instance"]["status"] == "RUNNING"
    await dinky.until(instance_id, "FINISHED")
    with pytest.raises(ConnectionDropped):
        await dinky.get(f"/jobs/{jid}")
    body = {"current": 1, "pageSize": 5, "filter": {}, "sorter": {}, "isHistory": True}
    (line,) = (await dinky.post("/api/jobInstance", body))["data"]
    task = (await dinky.get("/api/task", id=1))["data"]
    assert line["type"] == task["type"] == dinky.core.dinky.task(1).type
    refreshed = await refresh(dinky, instance_id)
    assert refreshed["instance"]["status"] == "UNKNOWN", "a forced refresh makes a right state wrong"
    assert await dinky.status(instance_id) == "UNKNOWN"


async def test_a_missed_end_of_a_cluster_of_its_own(with_own_cluster: Driver) -> None:
    dinky = with_own_cluster
    await dinky.sign_in()
    dinky.core.miss_the_end()
    instance_id = await dinky.start(1)
    await dinky.clock.advance(60.0)
    assert await dinky.status(instance_id) == "RUNNING"
    assert (await refresh(dinky, instance_id))["instance"]["status"] == "UNKNOWN"
