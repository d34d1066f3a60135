# SPDX-License-Identifier: Apache-2.0
"""The tasks of a sandbox that was given none: one for each thing that can happen to a task."""

from __future__ import annotations

from .tasks import TaskSpec

_ORDERS = """\
CREATE TABLE orders (customer STRING, amount DOUBLE) WITH ('connector'='datagen','rows-per-second'='5');
CREATE TABLE orders_by_customer (customer STRING, amount DOUBLE) WITH ('connector'='blackhole');
INSERT INTO orders_by_customer SELECT customer, amount FROM orders;"""

_REPORT = """\
CREATE TABLE orders (id BIGINT, amount DOUBLE) WITH ('connector'='datagen','number-of-rows'='1000');
CREATE TABLE daily_report (id BIGINT, amount DOUBLE) WITH ('connector'='blackhole');
INSERT INTO daily_report SELECT id, amount FROM orders;"""

_BACKFILL = """\
CREATE TABLE orders (id BIGINT, order_date STRING) WITH ('connector'='datagen','number-of-rows'='1000');
CREATE TABLE backfill (id BIGINT, order_date STRING) WITH ('connector'='blackhole');
INSERT INTO backfill SELECT id, order_date FROM orders WHERE order_date = '${day}';"""

_PARSE_AMOUNTS = """\
CREATE TABLE raw_lines (line STRING) WITH ('connector'='datagen','rows-per-second'='3');
CREATE TABLE amounts (amount BIGINT) WITH ('connector'='blackhole');
INSERT INTO amounts SELECT CAST(line AS BIGINT) FROM raw_lines;"""

_PAYMENTS = """\
CREATE TABLE payments (id BIGINT, region STRING) WITH ('connector'='datagen','rows-per-second'='2');
CREATE TABLE payments_of_region (id BIGINT, region STRING) WITH ('connector'='blackhole');
INSERT INTO payments_of_region SELECT id, region FROM payments WHERE region = '${region}';"""

# What the simulated job does because of its fields, a real one does because of the settings.
_CHECKPOINTED = """\
SET 'execution.checkpointing.interval' = '10 s';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
CREATE TABLE orders (customer STRING, amount DOUBLE) WITH ('connector'='datagen','rows-per-second'='5',
  'fields.customer.length'='1');
CREATE TABLE turnover_of_customer (customer STRING, amount DOUBLE) WITH ('connector'='blackhole');
INSERT INTO turnover_of_customer SELECT customer, SUM(amount) FROM orders GROUP BY customer;"""


def _column(name: str) -> dict[str, str]:
    return {"name": name, "title": name}


_ORDERS_LINEAGE = {
    "tables": [
        {
            "id": "1",
            "name": "default_catalog.default_database.orders",
            "columns": [_column("customer"), _column("amount")],
        },
        {
            "id": "2",
            "name": "default_catalog.default_database.orders_by_customer",
            "columns": [_column("customer"), _column("amount")],
        },
    ],
    "relations": [
        {
            "id": str(number),
            "srcTableId": "1",
            "tgtTableId": "2",
            "srcTableColName": column,
            "tgtTableColName": column,
        }
        for number, column in enumerate(("customer", "amount"), start=1)
    ],
}

DEFAULT_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(1, "orders_stream", "streaming", _ORDERS, lineage=_ORDERS_LINEAGE),
    TaskSpec(2, "daily_report", "bounded", _REPORT, runs_for=10.0),
    TaskSpec(3, "backfill_day", "bounded", _BACKFILL, runs_for=5.0),
    TaskSpec(
        4,
        "parse_amounts",
        "failing",
        _PARSE_AMOUNTS,
        fails_after=2.0,
        error="java.lang.NumberFormatException: For input string: 'twelve'. Invalid character found.",
    ),
    TaskSpec(5, "bad_sql", "rejected", "INSERT INTO nowhere SELEC 1;"),
    TaskSpec(
        6,
        "count_customers",
        "plain_sql",
        "select country, count(*) as customers from customer group by country;",
        rows=({"country": "DE", "customers": "42"}, {"country": "FR", "customers": "17"}),
    ),
    TaskSpec(7, "payments_stream", "streaming", _PAYMENTS),
    TaskSpec(
        8,
        "missing_table",
        "plain_sql",
        "select * from does_not_exist;",
        error="org.postgresql.util.PSQLException: "
        'ERROR: relation "does_not_exist" does not exist\n  Position: 15',
    ),
    # Id 9 is that of the task that a sandbox on a real Flink has beside these.
    TaskSpec(
        10,
        "orders_checkpointed",
        "streaming",
        _CHECKPOINTED,
        checkpoint_every=10.0,
        retain_checkpoints="on_cancellation",
    ),
)
