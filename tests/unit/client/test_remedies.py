# SPDX-License-Identifier: Apache-2.0
"""Known reasons and what to do about them: row by row, in errors, and in the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_dinky.client import calls, wire
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError, DinkyRefusedError
from airflow_provider_dinky.client.remedies import REMEDIES, remedy_for
from airflow_provider_dinky.client.wire import Reply

CONFIG = DinkyConfig("http://dinky:8888", name="c1")
PAGE = Path(__file__).parents[3] / "docs/troubleshooting.md"
LAST = "java.lang.RuntimeException: Failed\n\tat a.B.c(B.java:1)\nCaused by: "

# A text as Flink or Dinky writes it, and a phrase of the advice.
KNOWN = [
    (
        LAST
        + "org.apache.flink.util.StateMigrationException: The new state serializer (org.apache.flink.table."
        "RowDataSerializer@1) must not be incompatible with the old state serializer",
        "does not fit the state",
    ),
    (
        LAST
        + "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/sp. Cannot map "
        "checkpoint/savepoint state for operator a1 to the new program, because the operator is not available in the "
        "new program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.",
        "ignore-unclaimed-state",
    ),
    (
        LAST
        + "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/sp. Max parallelism "
        "mismatch between checkpoint/savepoint state and new program.",
        "pipeline.max-parallelism",
    ),
    (
        "Config key [state.savepoints.dir] is not set. Property 'targetDirectory' must be provided.",
        "Set state.savepoints",
    ),
    (
        LAST
        + "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory '/no/such' on file "
        "system 'file'.",
        "was deleted",
    ),
    (LAST + "java.io.FileNotFoundException: File file:/cp/a1/chk-7/_metadata does not exist", "was deleted"),
    (
        LAST
        + "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the "
        "minimum required resources.\n\tat a.B.c(B.java:1)\nCaused by: java.util.concurrent.TimeoutException: Timeout "
        "has occurred: 300000 ms",
        "free task slots",
    ),
    (
        LAST
        + "org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'kafka' that "
        "implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath.",
        "connector's or format's JAR",
    ),
    (LAST + "java.lang.ClassNotFoundException: com.mysql.cj.jdbc.Driver", "A JAR is missing"),
    (
        LAST + "java.lang.IllegalStateException: Trying to access closed classloader.",
        "check-leaked-classloader",
    ),
    (
        '["org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (a1)"]',
        "does not know the job any more",
    ),
    (LAST + "java.lang.IllegalArgumentException: protocol = http host = null", "update Dinky"),
    (LAST + "java.net.ConnectException: Connection refused: localhost/127.0.0.1:8081", "start it, and"),
    ("集群地址暂不可用", "start it, and"),
    ("Flink 集群【7】不存在", "names no Flink cluster"),
    (
        'The variable name or jexl key of sql "${rows}" does not exist.\nPlease follow the following methods',
        "variables={",
    ),
    (
        LAST + "org.apache.calcite.sql.validate.SqlValidatorException: Object 'nowhere' not found",
        "CREATE TABLE",
    ),
    ('org.postgresql.util.PSQLException: ERROR: relation "does_not_exist" does not exist', "CREATE TABLE"),
    (
        LAST + "java.sql.SQLException: Access denied for user 'ann'@'10.0.0.1' (using password: YES)",
        "lacks a right",
    ),
    ("任务无操作权限", "lacks a right"),
    (
        LAST
        + "org.apache.flink.table.api.TableException: Table sink 'default_catalog.default_database.snk' doesn't "
        "support consuming update changes which is produced by node GroupAggregate",
        "only takes inserts",
    ),
    (
        LAST
        + "org.apache.flink.util.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold.",
        "back pressure",
    ),
    (LAST + "java.lang.OutOfMemoryError: Java heap space", "too small"),
    (LAST + "java.io.IOException: Insufficient number of network buffers: required 17", "memory.network"),
    (
        LAST
        + "java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id 127.0.0.1:46305-7f timed out.",
        "died or hung",
    ),
    (
        LAST
        + 'java.lang.NullPointerException: Cannot invoke "ChildFirstClassLoader.getParent()" because it is null',
        "submit again",
    ),
    ("stop job failed, please check job status", "too long to stop"),
    (
        "The [Run] button does not support select statements, please switch to the [Query] button.",
        "a task with an INSERT",
    ),
    ("[运行] 按钮不支持 select 语句，请切换至 [查询] 按钮", "a task with an INSERT"),  # noqa: RUF001
    ("The JobID or JobManagerAddress is null. ", "has only DDL"),
    (
        LAST
        + "org.apache.flink.table.api.TableException: Unsupported SQL query! executeSql() only accepts a single SQL "
        "statement of type CREATE TABLE, DROP TABLE",
        "leave out EXECUTE STATEMENT SET",
    ),
    (
        LAST
        + "org.apache.calcite.runtime.CalciteException: Non-query expression encountered in illegal context",
        "cannot be read",
    ),
]


def row_of(text: str) -> int:
    advice = remedy_for(text)
    return next(n for n, row in enumerate(REMEDIES) if row.advice == advice)


@pytest.mark.parametrize(("text", "phrase"), KNOWN)
def test_a_known_reason_has_its_remedy(text: str, phrase: str) -> None:
    assert phrase in (remedy_for(text) or "")


def test_every_row_is_tried() -> None:
    assert {row_of(text) for text, _ in KNOWN} == set(range(len(REMEDIES)))
    assert len(REMEDIES) >= 15


@pytest.mark.parametrize(
    "text", [None, "", "Task Not Exist", LAST + "java.lang.IllegalStateException: something new"]
)
def test_an_unknown_reason_has_none(text: str | None) -> None:
    assert remedy_for(text) is None


def test_every_row_names_a_public_source() -> None:
    for row in REMEDIES:
        assert re.fullmatch(r"dinky#\d{3,4}|Flink documentation: [A-Z][\w ()]+", row.source), row


@pytest.mark.parametrize(("text", "phrase"), KNOWN)
def test_a_refusal_by_dinky_says_what_to_do(text: str, phrase: str) -> None:
    body = (
        {"data": text, "code": 5, "msg": "failed"} if LAST in text else {"data": None, "code": 1, "msg": text}
    )
    with pytest.raises(DinkyRefusedError) as caught:
        wire.decode(CONFIG, calls.submit_task(7), Reply(200, json.dumps(body).encode()))
    _, _, advice = str(caught.value).partition("\nWhat to do: ")
    assert phrase in advice
    assert "What to do" not in caught.value.reason


@pytest.mark.parametrize("row", REMEDIES, ids=lambda row: row.source)
def test_the_documentation_has_every_row(row: object) -> None:
    advice, source = row.advice, row.source  # type: ignore[attr-defined]
    assert any(
        advice in line.replace("`", "") and source in line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
    )


# Refusals by time-out.

TIMED_OUT = LAST + "java.util.concurrent.TimeoutException: Timeout has occurred: 60000 ms"


def refusal(call: calls.ApiCall[object], data: object, code: int = 5, msg: str = "failed") -> DinkyError:
    body = json.dumps({"data": data, "code": code, "msg": msg}).encode()
    with pytest.raises(DinkyError) as caught:
        wire.decode(CONFIG, call, Reply(200, body))
    return caught.value


@pytest.mark.parametrize("call", [calls.submit_task(7), calls.restart_task(7)], ids=["submit", "restart"])
@pytest.mark.parametrize(
    ("data", "code", "msg"),
    [
        (TIMED_OUT, 5, "failed"),
        ({"success": False, "error": TIMED_OUT, "jobInstanceId": None}, 1, "failed"),
        (None, 1, "Could not get the rest endpoint of orders"),
    ],
)
def test_a_refusal_by_time_out_leaves_the_outcome_open(
    call: calls.ApiCall[object], data: object, code: int, msg: str
) -> None:
    error = refusal(call, data, code, msg)
    assert isinstance(error, DinkyRefusedError)
    assert error.outcome_unknown


def test_any_other_refusal_is_one() -> None:
    assert not refusal(calls.submit_task(7), LAST + "java.io.IOException: no").outcome_unknown
    assert not refusal(calls.get_job_instance(7), TIMED_OUT).outcome_unknown
