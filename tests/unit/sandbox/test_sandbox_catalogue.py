# SPDX-License-Identifier: Apache-2.0
"""Tasks as data: saving, publishing, versions, and the calls that a real Dinky has broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Driver

STREAM = 1
SQL = "INSERT INTO snk SELECT 1;"


@pytest.fixture
async def dinky(dinky: Driver) -> Driver:
    await dinky.sign_in()
    return dinky


async def read(dinky: Driver, task_id: int = STREAM) -> Any:
    return (await dinky.get("/api/task", id=task_id))["data"]


async def save(dinky: Driver, task: dict[str, Any]) -> Any:
    return (await dinky.send("PUT", "/api/task", task)).json


async def publish(dinky: Driver, step: int = 2, task_id: int = STREAM) -> Any:
    return await dinky.get("/api/task/changeTaskLife", taskId=task_id, lifeCycle=step)


async def versions(dinky: Driver) -> list[Any]:
    return list((await dinky.get("/api/task/version", taskId=STREAM))["data"])


def names(nodes: list[Any]) -> list[Any]:
    return [(node["name"], node["taskId"], names(node["children"])) for node in nodes]


async def test_what_is_left_out_of_a_save_is_kept(dinky: Driver) -> None:
    before = await read(dinky)
    saved = await save(dinky, {"id": STREAM, "name": before["name"], "enabled": True, "statement": SQL})
    assert (saved["code"], saved["msg"]) == (0, "Save Successfully")
    after = await read(dinky)
    assert {name for name in after if after[name] != before[name]} <= {"statement", "updateTime"}
    assert after["statement"] == SQL
    await dinky.submit(STREAM)
    (history,) = (await dinky.post("/api/history/list", {"current": 1, "taskId": STREAM}))["data"]
    assert history["statement"] == "\n" + SQL


@pytest.mark.parametrize("missing", ["name", "enabled"])
async def test_a_save_needs_a_name_and_enabled(dinky: Driver, missing: str) -> None:
    body = {"id": STREAM, "name": "orders_stream", "enabled": True, "statement": SQL}
    del body[missing]
    answer = await dinky.send("PUT", "/api/task", body)
    assert (answer.status, answer.json["code"]) == (400, 6)


async def test_a_published_task_is_not_saved(dinky: Driver) -> None:
    task = await read(dinky)
    await publish(dinky)
    refused = await save(dinky, {**task, "statement": SQL})
    assert (refused["code"], refused["msg"]) == (1, "Task is online, modification is prohibited")
    assert (await read(dinky))["statement"] == task["statement"]
    await publish(dinky, 1)
    assert (await save(dinky, {**task, "statement": SQL}))["code"] == 0


async def test_saving_what_was_read_while_published_publishes_again(dinky: Driver) -> None:
    await publish(dinky)
    task = await read(dinky)
    assert task["step"] == 2
    await publish(dinky, 1)
    assert (await save(dinky, task))["code"] == 0
    assert (await save(dinky, task))["msg"] == "Task is online, modification is prohibited"


async def test_publishing_keeps_a_version_of_what_changed(dinky: Driver) -> None:
    task = await read(dinky)
    await publish(dinky)
    await publish(dinky)
    assert [one["versionId"] for one in await versions(dinky)] == [1]
    await publish(dinky, 1)
    await save(dinky, {**task, "statement": SQL})
    await publish(dinky)
    found = [(one["versionId"], one["statement"]) for one in await versions(dinky)]
    assert found == [(2, SQL), (1, task["statement"])]
    assert (await read(dinky))["versionId"] == 2
    for version, says in ((1, "ConvertException"), (99, "NullPointerException")):
        answer = await dinky.post("/api/task/rollbackTask", {"taskId": STREAM, "versionId": version})
        assert answer["code"] == 5
        assert says in answer["msg"]


async def test_a_job_runs_what_was_saved_when_it_was_started(dinky: Driver) -> None:
    await publish(dinky)
    first = (await dinky.submit(STREAM))["data"]
    assert first["jobConfig"]["step"] == 2
    await publish(dinky, 1)
    await save(dinky, {"id": STREAM, "name": "orders_stream", "enabled": True, "statement": SQL})
    (history,) = (await dinky.post("/api/history/list", {"current": 1, "taskId": STREAM}))["data"]
    assert history["statement"] == first["statement"] != "\n" + SQL


async def test_a_save_of_an_unknown_id_makes_a_task_that_is_in_no_folder(dinky: Driver) -> None:
    assert (await save(dinky, {"id": 99, "name": "ghost", "enabled": True, "statement": SQL}))["code"] == 0
    assert (await read(dinky, 99))["statement"] == SQL
    tree = (await dinky.post("/api/catalogue/getCatalogueTreeData", {"sortValue": "", "sortType": ""}))[
        "data"
    ]
    assert "ghost" not in str(names(tree))


async def test_folders_and_a_task_in_one(dinky: Driver) -> None:
    where = "/api/catalogue/"
    folder = {"name": "team", "parentId": 0, "isLeaf": False}
    await dinky.send("PUT", f"{where}saveOrUpdateCatalogue", folder)
    tree = (await dinky.post(f"{where}getCatalogueTreeData", {}))["data"]
    team = tree[-1]["id"]
    task = {"name": "enrich", "dialect": "FlinkSql", "parentId": team, "configJson": {"customConfig": []}}
    made = (await dinky.send("PUT", f"{where}saveOrUpdateCatalogueAndTask", task)).json["data"]
    again = (await dinky.send("PUT", f"{where}saveOrUpdateCatalogueAndTask", task)).json
    assert (again["code"], again["msg"]) == (1, "Task is existed")
    tree = (await dinky.post(f"{where}getCatalogueTreeData", {}))["data"]
    assert names(tree)[-1] == ("team", None, [("enrich", made["taskId"], [])])
    refused = (await dinky.send("DELETE", f"{where}deleteCatalogueById", id=team)).json
    assert refused["msg"] == "Folder Not Empty, Can Not Delete"
    await dinky.send("DELETE", f"{where}deleteCatalogueById", id=made["id"])
    assert (await dinky.get("/api/task", id=made["taskId"]))["msg"] == "Task Not Exist"


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
async def test_the_filter_by_name_works_from_1_2_on(make_driver: Callable[..., Driver], version: str) -> None:
    dinky = make_driver(dinky=version)
    await dinky.sign_in()
    answer = await dinky.post("/api/task", {"current": 1, "pageSize": 5, "name": "orders_s"})
    if version == "1.2":
        assert [task["name"] for task in answer["data"]] == ["orders_stream"]
    else:
        assert answer["code"] == 5
        assert 'Column "%orders_s%" not found' in answer["msg"]
