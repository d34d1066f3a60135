# SPDX-License-Identifier: Apache-2.0
"""What the sandbox says of SQL that is not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.tasks import TaskSpec

if TYPE_CHECKING:
    from conftest import Driver

STREAM, BAD_SQL, WITH_REGION = 1, 5, 7
INSERT = "INSERT INTO a SELECT n FROM b WHERE region = '${region}'"


async def explain(dinky: Driver, task_id: int | None, statement: str, **more: Any) -> Any:
    return await dinky.post(
        "/openapi/explainSql", {"id": task_id, "statement": statement, "fragment": True, **more}
    )


@pytest.mark.parametrize("task", DEFAULT_TASKS, ids=lambda task: task.name)
async def test_a_task_is_rejected_exactly_if_its_submit_would_be(dinky: Driver, task: TaskSpec) -> None:
    answer = await explain(dinky, task.id, task.sql, variables={"day": "2026-01-01", "region": "EU"})
    assert answer["code"] == 0
    errors = [entry["error"] for entry in answer["data"] if entry["error"]]
    assert len(errors) == (1 if task.id == BAD_SQL else 0)


async def test_variables_are_filled_in(dinky: Driver) -> None:
    (entry,) = (await explain(dinky, WITH_REGION, INSERT, variables={"region": "EU"}))["data"]
    assert (entry["sql"], entry["explainTrue"]) == (INSERT.replace("${region}", "EU"), True)


async def test_those_of_the_task_as_well_but_the_given_ones_win(make_driver: Callable[..., Driver]) -> None:
    dinky = make_driver(tasks=[TaskSpec(1, "a", variables={"region": "US"})])
    (own,) = (await explain(dinky, 1, INSERT))["data"]
    (given,) = (await explain(dinky, 1, INSERT, variables={"region": "EU"}))["data"]
    assert ("'US'" in own["sql"], "'EU'" in given["sql"]) == (True, True)


@pytest.mark.parametrize("task_id", [WITH_REGION, 99, None])
async def test_a_missing_one_is_refused_as_by_a_submit(dinky: Driver, task_id: int | None) -> None:
    submitted = await dinky.submit(WITH_REGION)
    explained = await explain(dinky, task_id, INSERT)
    assert (explained["code"], explained["msg"]) == (1, submitted["msg"])
    assert "${region}" in explained["msg"]


async def test_without_fragment_nothing_is_filled_in(dinky: Driver) -> None:
    answer = await explain(dinky, STREAM, INSERT, fragment=False, variables={"region": "EU"})
    (entry,) = answer["data"]
    assert (entry["sql"], entry["parseTrue"]) == (INSERT, False)


async def test_a_rejected_task_is_rejected_with_its_own_reason(make_driver: Callable[..., Driver]) -> None:
    sql = "CREATE TABLE a (n INT);\nINSERT INTO a SELECT m FROM b;"
    error = "org.apache.calcite.sql.validate.SqlValidatorException: Column 'm' not found in any table"
    dinky = make_driver(tasks=[TaskSpec(1, "a", "rejected", sql, error=error)])
    exported = (await dinky.get("/openapi/exportSql", id=1))["msg"]
    for statement in (sql, exported):
        *fine, bad = (await explain(dinky, 1, statement))["data"]
        assert all(entry["explainTrue"] for entry in fine)
        assert (bad["sql"], bad["explain"], bad["parseTrue"]) == (
            "INSERT INTO a SELECT m FROM b",
            None,
            False,
        )
        assert bad["error"].splitlines()[0].startswith("org.apache.flink.table.api.SqlParserException")
        assert f"Caused by: {error}" in bad["error"]
    other = (await explain(dinky, 1, "INSERT INTO a SELECT n FROM b"))["data"]
    assert [entry["error"] for entry in other] == [None]


@pytest.mark.parametrize(
    "statement",
    [
        "-- why\nINSERT INTO a SELECT ';' FROM b",
        "SET 'execution.checkpointing.interval' = '10 s'",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
    ],
)
async def test_what_a_real_one_understands(dinky: Driver, statement: str) -> None:
    (entry,) = (await explain(dinky, STREAM, statement))["data"]
    assert (entry["sql"], entry["error"]) == (statement, None)


async def test_nothing_after_a_rejected_statement(dinky: Driver) -> None:
    answer = await explain(dinky, STREAM, "SHOW TABLES; SELEC 1; SHOW TABLES")
    assert [entry["explainTrue"] for entry in answer["data"]] == [True, False]
