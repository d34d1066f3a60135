# SPDX-License-Identifier: Apache-2.0
"""Names of tables by their connectors, as OpenLineage's naming rules give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.tasks.table_locations import Location, location_of, locations


def created(options: dict[str, str], name: str = "t") -> str:
    given_options = ", ".join(f"'{key}' = '{value}'" for key, value in options.items())
    return f"CREATE TABLE {name} (id INT, PRIMARY KEY (id) NOT ENFORCED) WITH ({given_options});"


JDBC = {"connector": "jdbc", "table-name": "orders"}
KAFKA = {"connector": "kafka", "topic": "orders", "properties.bootstrap.servers": "b1:9093,b2:9093"}
CDC = {"hostname": "db", "database-name": "shop", "table-name": "orders"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (KAFKA, ("kafka://b1:9093", "orders")),
        ({**KAFKA, "properties.bootstrap.servers": "b1"}, ("kafka://b1:9092", "orders")),
        ({**JDBC, "url": "jdbc:mysql://db/shop?user=me&password=p"}, ("mysql://db:3306", "shop.orders")),
        ({**JDBC, "url": "jdbc:postgresql://me:p@db:6/shop"}, ("postgres://db:6", "shop.public.orders")),
        ({**CDC, "connector": "mysql-cdc"}, ("mysql://db:3306", "shop.orders")),
        (
            {**CDC, "connector": "postgres-cdc", "schema-name": "s", "port": "7"},
            ("postgres://db:7", "shop.s.orders"),
        ),
        ({"connector": "filesystem", "path": "s3a://bucket/a/b"}, ("s3://bucket", "a/b")),
        ({"connector": "filesystem", "path": "hdfs://nn:8020/a"}, ("hdfs://nn:8020", "/a")),
        ({"connector": "filesystem", "path": "file:///a/b"}, ("file", "/a/b")),
        ({"connector": "filesystem", "path": "/a/b"}, ("file", "/a/b")),
    ],
)
def test_a_connector_that_tells(options: dict[str, str], expected: tuple[str, str]) -> None:
    assert locations(created(options)) == {"t": Location(*expected)}


@pytest.mark.parametrize(
    "options",
    [
        {"connector": "datagen"},
        {**KAFKA, "topic": "a;b"},
        {**KAFKA, "topic": "${topic}"},
        {**JDBC, "url": "jdbc:oracle:thin:@db:1521:x"},
        {**JDBC, "url": "no url"},
        {**CDC, "connector": "mysql-cdc", "table-name": "orders_.*"},
        {"connector": "filesystem"},
        {},
    ],
)
def test_a_connector_that_does_not(options: dict[str, str]) -> None:
    assert locations(created(options)) == {}


def test_comments_quotes_and_names() -> None:
    sql = (
        "-- CREATE TABLE no (i INT) WITH ('connector' = 'filesystem', 'path' = '/no');\n"
        "SET 'pipeline.name' = 'a;b';\n"
        "/* ; */ create temporary table if not exists `my cat`.`d`.`t` (i INT) /* x */ with "
        "('connector' = 'filesystem', -- where\n 'path' = '/it''s--here');\n"
        "INSERT INTO a SELECT * FROM b"
    )
    assert locations(sql) == {"my cat.d.t": Location("file", "/it's--here")}


def test_a_table_is_known_by_the_end_of_its_name() -> None:
    known = locations(created(KAFKA, "orders") + created(KAFKA, "db.two") + created(KAFKA, "two"))
    assert location_of("default_catalog.default_database.orders", known) == Location(
        "kafka://b1:9093", "orders"
    )
    assert location_of("default_catalog.default_database.reorders", known) is None
    assert location_of("default_catalog.db.two", known) is None, "two tables fit"


@given(st.text(alphabet="CREATE TABLE t(i)WITH'=;`-/*\n.,${}", max_size=200))
def test_any_text_is_survived(sql: str) -> None:
    locations(sql)
    locations(created(KAFKA) + sql)
