# SPDX-License-Identifier: Apache-2.0
"""The HTTP API beyond what the recordings show: lists, the Flink proxy, orders, the page's data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.messages import Request

if TYPE_CHECKING:
    from conftest import Driver

STREAM, BOUNDED = 1, 2
EVERYTHING = {"current": 1, "pageSize": 1000, "sorter": {}, "filter": {}, "isHistory": True}


async def test_one_request_tells_the_states_of_many(dinky: Driver) -> None:
    await dinky.sign_in()
    ids = [await dinky.start(STREAM) for _ in range(3)]
    page = await dinky.post("/api/jobInstance", {**EVERYTHING, "filter": {"id": ids[1:]}})
    assert "code" not in page
    assert [(row["id"], row["status"]) for row in page["data"]] == [(ids[1], "RUNNING"), (ids[2], "RUNNING")]


async def test_pages_of_the_list(dinky: Driver) -> None:
    await dinky.sign_in()
    for _ in range(5):
        await dinky.submit(STREAM)
    newest = {**EVERYTHING, "pageSize": 2, "sorter": {"id": "descend"}}
    first, third = [await dinky.post("/api/jobInstance", {**newest, "current": page}) for page in (1, 3)]
    assert first["total"] == 5
    assert [row["id"] for row in first["data"]] == [5, 4]
    assert [row["id"] for row in third["data"]] == [1]
    latest = await dinky.post("/api/jobInstance", {**EVERYTHING, "isHistory": False})
    assert [row["id"] for row in latest["data"]] == [5]


@pytest.mark.parametrize("odd", [{"filter": 3}, {"sorter": []}, {"filter": {"id": 1}}, {"current": 0}])
async def test_odd_list_requests_are_answered(dinky: Driver, odd: dict[str, Any]) -> None:
    await dinky.sign_in()
    await dinky.submit(STREAM)
    assert (await dinky.post("/api/jobInstance", {**EVERYTHING, **odd}))["total"] == 1


async def test_details_hold_what_flink_says_after_the_first_look(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = (await dinky.submit(STREAM))["data"]["jobInstanceId"]
    path = "/api/jobInstance/getJobInfoDetail"
    assert (await dinky.get(path, id=instance_id))["data"]["jobDataDto"]["job"] is None
    await dinky.until(instance_id, "RUNNING")
    looked_at = (await dinky.get(path, id=instance_id))["data"]["jobDataDto"]
    job = looked_at["job"]
    assert (job["state"], job["end-time"]) == ("RUNNING", -1)
    dinky.core.kill_cluster()
    unreachable = (await dinky.get(path, id=instance_id))["data"]["jobDataDto"]
    assert unreachable == looked_at, "Dinky has not looked again yet"
    await dinky.until(instance_id, "RECONNECTING")
    remembered = (await dinky.get(path, id=instance_id))["data"]["jobDataDto"]
    assert remembered["job"]["state"] == "RUNNING"
    assert (remembered["error"], remembered["errorMsg"]) == (True, "ConnectException: Connection refused")


async def test_details_are_as_old_as_the_last_change_until_a_refresh(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(10)
    await dinky.clock.advance(60.0)
    kept, looked_at = [
        (await dinky.get(f"/api/jobInstance/{call}", id=instance_id, isForce="true"))["data"]["jobDataDto"]
        for call in ("getJobInfoDetail", "refreshJobInfoDetail")
    ]
    assert kept["checkpoints"]["counts"]["completed"] == 0
    assert looked_at["checkpoints"]["counts"]["completed"] >= 5
    await dinky.clock.advance(600.0)
    later = (await dinky.get("/api/jobInstance/getJobInfoDetail", id=instance_id))["data"]["jobDataDto"]
    assert later["checkpoints"]["counts"]["completed"] >= 20, "each 60th look is kept"


async def test_flink_is_reached_through_dinky_but_nothing_else_is(dinky: Driver) -> None:
    await dinky.sign_in()
    await dinky.start(STREAM)
    overview = await dinky.get("/api/flink/127.0.0.1:8888/jobs/overview")
    assert [job["state"] for job in overview["jobs"]] == ["RUNNING"]
    elsewhere = await dinky.get("/api/flink/example.com:80/jobs/overview")
    assert elsewhere["code"] == 5


async def test_flink_cancels_a_job_that_dinky_forgot(dinky: Driver) -> None:
    instance_id = await dinky.start(STREAM)
    jid = dinky.core.engine.jobs[0].jid
    answer = await dinky.send("PATCH", f"/jobs/{jid}", mode="cancel")
    assert answer.status == 202
    await dinky.until(instance_id, "CANCELED")
    assert (await dinky.send("PATCH", "/jobs/00")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "query", "msg"),
    [
        ("POST", "/openapi/cancel", {"id": 1}, "Request method 'POST' not supported"),
        ("GET", "/openapi/cancel", {"id": "x"}, "For input string"),
        ("GET", "/openapi/cancel", {"id": 1, "forceCancel": "perhaps"}, "Invalid boolean value [perhaps]"),
        ("POST", "/openapi/savepoint", {"taskId": 1}, "'savePointType'"),
        ("POST", "/openapi/savepointTask", {}, "Content type"),
    ],
)
async def test_wrong_requests_are_exceptions_with_http_200(
    dinky: Driver, method: str, path: str, query: dict[str, Any], msg: str
) -> None:
    answer = await dinky.send(method, path, **query)
    assert (answer.status, answer.json["code"]) == (200, 5)
    assert msg in answer.json["msg"]


@pytest.mark.parametrize("body", ["", "[1]", '{"id": 1.5}', '{"id": true}', '{"id": 1, "variables": 3}'])
async def test_wrong_bodies_are_exceptions(dinky: Driver, body: str) -> None:
    headers = {"content-type": "application/json"}
    request = Request("POST", "/openapi/submitTask", body=body, headers=headers)
    answer = await dinky.clock.run(dinky.core.handle(request))
    assert (answer.status, answer.json["code"]) == (200, 5)


async def test_orders_over_http_only_where_they_are_switched_on(make_driver: Callable[..., Any]) -> None:
    closed, open_ = make_driver(), make_driver(control=True)
    assert (await closed.send("POST", "/sandbox/kill_cluster")).status == 404
    assert (await open_.post("/sandbox/kill_cluster"))["done"] == "kill_cluster"
    assert (await open_.submit(STREAM))["code"] == 5
    assert (await open_.post("/sandbox/revive_cluster", {"jobs_survive": True}))["done"] == "revive_cluster"
    instance_id = await open_.start(STREAM)
    await open_.post("/sandbox/set_status", {"job_instance_id": instance_id, "status": "ODD"})
    assert await open_.status(instance_id) == "ODD"


@pytest.mark.parametrize(
    ("order", "parameters", "status"),
    [
        ("nonsense", {}, 404),
        ("fault", {"kind": "nonsense"}, 400),
        ("fault", {"kind": "reset", "colour": "red"}, 400),
        ("set_status", {"job_instance_id": 99, "status": "X"}, 400),
        ("kill_job", {"job_id": "99"}, 400),
        ("kill_cluster", [1], 400),
    ],
)
async def test_orders_that_make_no_sense_are_refused(
    make_driver: Callable[..., Any], order: str, parameters: Any, status: int
) -> None:
    dinky = make_driver(control=True)
    assert (await dinky.send("POST", f"/sandbox/{order}", parameters)).status == status
    assert (await dinky.send("GET", "/sandbox/kill_cluster")).status == 405


async def test_the_page_and_its_data(dinky: Driver) -> None:
    await dinky.start(BOUNDED)
    assert "<title>Dinky sandbox</title>" in (await dinky.send("GET", "/")).body
    state = await dinky.get("/sandbox/state")
    assert [task["id"] for task in state["tasks"]] == [*range(1, 9), 10]
    assert state["instances"][0]["status"] == "RUNNING"
    assert state["jobs"][0]["taskId"] == BOUNDED


async def test_the_lineage_is_told_of_job_instances_only(dinky: Driver) -> None:
    instances = [(await dinky.submit(task))["data"]["jobInstanceId"] for task in (STREAM, BOUNDED)]
    assert (await dinky.get("/openapi/getTaskLineage", id=STREAM))["data"] is None
    assert (await dinky.send("GET", "/api/jobInstance/getLineage", id=instances[0])).status == 401
    await dinky.sign_in()
    known, unknown = [
        (await dinky.get("/api/jobInstance/getLineage", id=instance))["data"] for instance in instances
    ]
    assert {table["id"] for table in known["tables"]} == {"1", "2"}
    assert unknown == {"tables": [], "relations": []}


async def test_requests_are_recorded(dinky: Driver) -> None:
    await dinky.submit(STREAM)
    await dinky.get("/openapi/getJobInstance", id=1)
    first, second = dinky.core.requests
    assert (first.method, first.path, first.json["id"]) == ("POST", "/openapi/submitTask", STREAM)
    assert second.query == {"id": "1"}
