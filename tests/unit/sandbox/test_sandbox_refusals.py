# SPDX-License-Identifier: Apache-2.0
"""What Dinky and Flink refuse: SQL that starts no job, savepoints without a directory, submits that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from airflow_provider_dinky.sandbox.tasks import TaskSpec

if TYPE_CHECKING:
    from conftest import Driver

STREAM = 1
TABLE = "CREATE TABLE snk (id BIGINT) WITH ('connector'='blackhole');"
QUERY = "The [Run] button does not support select statements, please switch to the [Query] button."
NO_JOB = "The JobID or JobManagerAddress is null."


@pytest.mark.parametrize(
    ("sql", "code", "says"),
    [
        (f"{TABLE}\nSELECT * FROM snk;", 1, QUERY),
        ("SHOW TABLES;", 1, QUERY),
        (TABLE, 1, NO_JOB),
        ("", 1, NO_JOB),
        ("-- nothing yet\n/* at all */", 1, NO_JOB),
        (
            f"{TABLE}\nEXECUTE STATEMENT SET BEGIN\nINSERT INTO snk SELECT 1;\nINSERT INTO snk SELECT 2;\nEND;",
            5,
            "Unsupported SQL query! executeSql() only accepts a single SQL statement",
        ),
        (f"{TABLE}\nINSERT INTO snk SELECT 1;\nINSERT INTO snk SELECT 2;", 0, "Execute Successfully"),
        ("CREATE TABLE snk WITH ('connector'='blackhole') AS SELECT id FROM src;", 0, "Execute Successfully"),
    ],
)
async def test_sql_that_starts_no_job_or_one(
    make_driver: Callable[..., Driver], sql: str, code: int, says: str
) -> None:
    dinky = make_driver(tasks=[TaskSpec(1, "a", sql=sql)])
    answer = await dinky.submit(1)
    assert answer["code"] == code
    assert says in answer["msg"]
    assert len(dinky.core.engine.jobs) == (code == 0)


async def test_without_a_savepoint_directory_savepoints_are_refused_and_the_job_runs_on(
    dinky: Driver,
) -> None:
    await dinky.start(STREAM)
    dinky.core.savepoint_directory(False)
    answers = [
        await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType=kind)
        for kind in ("trigger", "stop", "cancel")
    ]
    answers.append(await dinky.get("/openapi/restartTask", id=STREAM))
    assert {answer["code"] for answer in answers} == {1}
    assert all("Config key [state.savepoints.dir] is not set" in answer["msg"] for answer in answers)
    await dinky.clock.advance(30.0)
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING"]
    dinky.core.savepoint_directory()
    answer = await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType="stop")
    assert answer["code"] == 0


@pytest.mark.parametrize("refused", [False, True])
async def test_a_submit_that_dinky_gave_up_comes_up_later(dinky: Driver, refused: bool) -> None:
    await dinky.sign_in()
    dinky.core.give_up_on_submits(job_after=20.0, refused=refused)
    answer = await dinky.submit(STREAM, airflow_run_key="a/b/c/-1/0")
    assert answer["code"] == (1 if refused else 5)
    assert "TimeoutException" in (answer["msg"] if refused else answer["data"])
    assert dinky.core.engine.jobs == ()
    await dinky.clock.advance(20.5)
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING"]
    newest = (await dinky.get("/openapi/getJobInstanceByTaskId", id=STREAM))["data"]
    body = {"current": 1, "pageSize": 5, "filter": {}, "sorter": {}, "taskId": STREAM}
    (row,) = (await dinky.post("/api/history/list", body))["data"]
    assert newest["historyId"] == row["id"]
    assert row["status"] == 3
    assert row["configJson"]["variables"] == {"airflow_run_key": "a/b/c/-1/0"}
    assert (await dinky.submit(STREAM))["code"] == 0, "once only"


async def test_a_job_that_dinky_never_comes_to_know(dinky: Driver) -> None:
    dinky.core.give_up_on_submits(job_after=5.0, known=False)
    await dinky.submit(STREAM)
    await dinky.clock.advance(60.0)
    assert (await dinky.get("/openapi/getJobInstanceByTaskId", id=STREAM))["data"] is None
    assert [job.active for job in dinky.core.engine.jobs] == [True]


async def test_a_submit_that_fails_starts_nothing(dinky: Driver) -> None:
    npe = (
        "java.lang.NullPointerException: Cannot invoke "
        '"org.dinky.classloader.ChildFirstClassLoader.getParent()"'
    )
    dinky.core.fail_submits(npe, count=2)
    for _ in range(2):
        answer = await dinky.submit(STREAM)
        assert answer["code"] == 5
        assert f"Caused by: {npe}" in answer["data"]
    assert (await dinky.submit(STREAM))["code"] == 0
    assert len(dinky.core.engine.jobs) == 1
