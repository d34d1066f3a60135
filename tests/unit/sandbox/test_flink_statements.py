# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.flink.statements import parse


def kinds(sql: str) -> list[tuple[str, str]]:
    return [(statement.kind, statement.text) for statement in parse(sql)]


def test_statements_are_what_stands_between_semicolons() -> None:
    sql = "CREATE TABLE a (n INT);\n\nINSERT INTO b SELECT n FROM a;\n;"
    assert kinds(sql) == [("execute", "CREATE TABLE a (n INT)"), ("insert", "INSERT INTO b SELECT n FROM a")]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO a SELECT ';' FROM b",
        "INSERT INTO a SELECT 'it''s; here' FROM b",
        "INSERT INTO `a;b` SELECT 1",
        'INSERT INTO a SELECT ";" FROM b',
        "INSERT INTO a -- one; two\nSELECT 1",
        "INSERT INTO a /* one; two */ SELECT 1",
        "INSERT INTO a SELECT 4 / 2 - 1 FROM b /*+ OPTIONS('x'='1;2') */",
    ],
)
def test_but_not_semicolons_in_texts_names_and_comments(statement: str) -> None:
    assert kinds(f"{statement};SHOW TABLES") == [("insert", statement), ("execute", "SHOW TABLES")]


@pytest.mark.parametrize(
    ("sql", "key", "value"),
    [
        ("SET 'pipeline.name' = 'my job'", "pipeline.name", "my job"),
        ("set parallelism.default = 2", "parallelism.default", "2"),
        ("-- why\nSET 'a.b'='it''s'", "a.b", "it's"),
        ("SET 'x' = ''", "x", ""),
    ],
)
def test_settings(sql: str, key: str, value: str) -> None:
    (statement,) = parse(sql)
    assert (statement.kind, statement.key, statement.value) == ("set", key, value)


def test_reset() -> None:
    (statement,) = parse("RESET 'pipeline.name';")
    assert (statement.kind, statement.key) == ("reset", "pipeline.name")


def test_a_statement_set_is_one_statement() -> None:
    together = "EXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT 1;\nINSERT INTO b SELECT 2;\nEND"
    assert kinds(f"SET 'a' = 'b';\n{together};\nSHOW TABLES;") == [
        ("set", "SET 'a' = 'b'"),
        ("execute", together),
        ("execute", "SHOW TABLES"),
    ]


def test_the_clients_way_of_writing_one_is_understood() -> None:
    sql = "BEGIN STATEMENT SET;\nINSERT INTO a SELECT 1;\nINSERT INTO b SELECT 2;\nEND;"
    assert [kind for kind, _ in kinds(sql)] == ["insert", "insert"]


@pytest.mark.parametrize("sql", ["", " \n", "-- nothing", ";;", "/* nothing */;"])
def test_nothing(sql: str) -> None:
    assert parse(sql) == []


def test_no_text_is_lost() -> None:
    for task in DEFAULT_TASKS:
        whole = "".join(task.sql.split()).replace(";", "")
        assert "".join("".join(text.split()) for _, text in kinds(task.sql)) == whole
