# SPDX-License-Identifier: Apache-2.0
"""The tasks of a sandbox on a real Flink: those of the simulated one, with SQL that really does what they are for."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path

from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.tasks import TaskSpec

_ORDERS = """\
CREATE TABLE orders (customer STRING, amount DOUBLE) WITH ('connector'='datagen','rows-per-second'='5',
  'fields.customer.length'='1');
CREATE TABLE orders_by_customer (customer STRING, amount DOUBLE) WITH ('connector'='blackhole');
INSERT INTO orders_by_customer SELECT customer, SUM(amount) FROM orders GROUP BY customer;"""

# The sum is of all orders since the job was first started, so that it tells whether state was carried over: after
# order n it is 1 + 2 + ... + n. A GROUP BY would do the same, but changes rows that it has written, which files
# cannot. Files are complete, and seen, from the checkpoint after their second. Savepoints are for this task only:
# they hold the files that are being written, so a second job that starts from one meddles with those of the first.
_TURNOVER = """\
SET 'execution.checkpointing.interval' = '1 s';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
CREATE TABLE orders (amount BIGINT, placed AS PROCTIME()) WITH ('connector'='datagen','rows-per-second'='5',
  'fields.amount.kind'='sequence','fields.amount.start'='1','fields.amount.end'='500000');
CREATE TABLE turnover (amount BIGINT, so_far BIGINT, placed TIMESTAMP_LTZ(3)) WITH ('connector'='filesystem',
  'path'='${turnover}','format'='csv',
  'sink.rolling-policy.rollover-interval'='1 s','sink.rolling-policy.check-interval'='1 s');
INSERT INTO turnover SELECT amount,
  SUM(amount) OVER (ORDER BY placed ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), placed FROM orders;"""

_REPORT = """\
CREATE TABLE orders (id BIGINT, amount DOUBLE) WITH ('connector'='datagen',
  'number-of-rows'='1000','rows-per-second'='100');
CREATE TABLE daily_report (id BIGINT, amount DOUBLE) WITH ('connector'='blackhole');
INSERT INTO daily_report SELECT id, amount FROM orders;"""

_PARSE_AMOUNTS = """\
CREATE TABLE raw_lines (line BIGINT) WITH ('connector'='datagen','rows-per-second'='3',
  'fields.line.kind'='sequence','fields.line.start'='1','fields.line.end'='100');
CREATE TABLE amounts (amount BIGINT) WITH ('connector'='blackhole');
INSERT INTO amounts
SELECT CAST(CASE line WHEN 6 THEN 'twelve' ELSE CAST(line AS STRING) END AS BIGINT) FROM raw_lines;"""

_SQL = {"orders_stream": _ORDERS, "daily_report": _REPORT, "parse_amounts": _PARSE_AMOUNTS}


TURNOVER_STREAM = 9
"""Id of the task that counts."""


def flink_tasks(turnover: Path) -> tuple[TaskSpec, ...]:
    """Return the tasks; ``turnover_stream``, the one more, writes into the folder ``turnover``."""
    usual = (dataclasses.replace(task, sql=_SQL.get(task.name, task.sql)) for task in DEFAULT_TASKS)
    into = {"turnover": f"file:{turnover.resolve()}"}
    counting = TaskSpec(TURNOVER_STREAM, "turnover_stream", "streaming", _TURNOVER, variables=into)
    return tuple(sorted((*usual, counting), key=lambda task: task.id))


@dataclasses.dataclass(frozen=True)
class Turnover:
    """One row that ``turnover_stream`` has written; ``placed`` is when, in seconds since 1970."""

    amount: int
    so_far: int
    placed: float


def read_turnover(folder: Path) -> list[Turnover]:
    """Return the complete rows that ``turnover_stream`` has written, in the order of their time.

    Files that are still written begin with a dot; nobody should read them.
    """
    rows = []
    for file in folder.glob("[!.]*"):
        for line in file.read_text().splitlines():
            amount, so_far, placed = line.split(",")
            rows.append(Turnover(int(amount), int(so_far), _seconds(placed.strip('"'))))
    return sorted(rows, key=lambda row: (row.placed, row.amount))


def _seconds(moment: str) -> float:
    """Return a moment as Flink writes it (``2026-01-31 12:00:00.5Z``, no fraction if there is none)."""
    form = "%Y-%m-%d %H:%M:%S.%fZ" if "." in moment else "%Y-%m-%d %H:%M:%SZ"
    return datetime.strptime(moment, form).replace(tzinfo=timezone.utc).timestamp()
