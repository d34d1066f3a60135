# SPDX-License-Identifier: Apache-2.0
"""What Dinky says about SQL without running it. A stand-in's judgement: it knows words, not SQL."""

from __future__ import annotations

import re
from typing import Any

from . import flink_rest
from .envelope import iso_text
from .failures import sql_rejected
from .flink.statements import bare, parse
from .java import Throwable
from .tasks import TaskSpec

_DDL = ("CREATE", "DROP", "ALTER", "USE", "SET", "RESET", "ADD", "LOAD", "UNLOAD")
_QUERY = ("SELECT", "WITH", "SHOW", "DESCRIBE", "EXPLAIN")
_MODIFIES = re.compile(
    r"^(EXECUTE\s+STATEMENT\s+SET\b|INSERT\s+(INTO|OVERWRITE)\s+\S+.*\b(SELECT|VALUES|TABLE)\b)",
    re.IGNORECASE | re.DOTALL,
)

STREAM_GRAPH_FAILS = Throwable(
    "java.lang.NullPointerException",
    'Cannot invoke "java.lang.Integer.intValue()" because the return value of '
    '"org.dinky.executor.ExecutorConfig.getPort()" is null',
).wrapped_in("java.lang.RuntimeException")
"""What ``getStreamGraph`` of a real Dinky 1.1.0 answers, whatever one asks."""


def rejection(sql: str, task: TaskSpec) -> str | None:
    """Return why Flink rejects a task's SQL whatever it looks like, or None where its words decide."""
    if task.kind != "rejected" or task.sql.strip().rstrip(";") not in sql:
        return None
    return _error(task.sql, task.error)


def explain(sql: str, now: float, error: str | None = None) -> list[dict[str, Any]]:
    """Return one entry a statement, up to the first that Flink would not accept.

    :param error: why it would not accept the last one in any case.
    """
    entries: list[dict[str, Any]] = []
    statements = [statement.text for statement in parse(sql)]
    for index, statement in enumerate(statements, start=1):
        kind = None if error is not None and index == len(statements) else _kind(statement)
        entry = {
            "index": index,
            "type": kind or "Modify DML",
            "sql": statement,
            "parse": None,
            "explain": f"== Abstract Syntax Tree ==\n{statement}\n" if kind else None,
            "error": None if kind else error or _error(statement),
            "parseTrue": kind is not None,
            "explainTrue": kind is not None,
            "explainTime": iso_text(now),
        }
        entries.append(entry)
        if kind is None:
            break
    return entries


def plan(jid: str) -> dict[str, Any]:
    """Return the plan of a job that was never named."""
    return flink_rest.plan(jid, "Flink Streaming Job")


def exported(task: TaskSpec) -> str:
    """Return a task's SQL with the settings that Dinky puts before it."""
    if task.is_plain_sql:
        return task.sql
    return f"set pipeline.name = {task.name};\r\nset parallelism.default = 1;\r\n{task.sql}"


def _kind(statement: str) -> str | None:
    # A submit does not take it either.
    if "${" in statement:
        return None
    start = bare(statement)
    word = start.split(None, 1)[0].upper()
    if word in _DDL:
        return "DDL"
    if word in _QUERY:
        return "DQL"
    return "Modify DML" if _MODIFIES.match(start) else None


def _error(statement: str, error: str | None = None) -> str:
    executing = list(sql_rejected(statement, error).chain())
    return executing[2].trace()
