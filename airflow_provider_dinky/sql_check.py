# SPDX-License-Identifier: Apache-2.0
"""Dinky's check of a task's SQL, before anything is started or stopped: which line is wrong, and why."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.exceptions import SqlCheckError

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import ExplainedStatement
    from airflow_provider_dinky.hooks.dinky import DinkyHook

log = logging.getLogger(__name__)

_POSITION = re.compile(r"(?:at|from) line (\d+), column (\d+)", re.IGNORECASE)
_EXPECTED = re.compile(r"\s*\n?Was expecting.*", re.DOTALL)


@dataclass(frozen=True)
class SqlProblem:
    """A statement that Flink would not accept.

    :param statement: its number, from 1.
    :param line: the line of the whole SQL, from 1; None where the statement is not found in it.
    :param text: that line, or the statement's first one.
    :param reason: Flink's root cause.
    """

    statement: int
    line: int | None
    text: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line is not None else "its line is not known"
        return f"statement {self.statement}, {where}: {self.reason}\n    {self.text}"


def find_problems(sql: str, explained: Iterable[ExplainedStatement]) -> tuple[SqlProblem, ...]:
    """The statements that Dinky found wrong.

    Flink counts lines from the beginning of a statement, and often names none; then it is the statement's first.

    :param sql: the whole SQL.
    :param explained: what ``explainSql`` answered.
    """
    problems, searched = [], 0
    for number, statement in enumerate(explained, start=1):
        text = (statement.sql or "").strip()
        begins = sql.find(text, searched) if text else -1
        if begins >= 0:
            searched = begins + len(text)
        if _is_fine(statement):
            continue
        within = _line_within(statement.error or "")
        lines = text.splitlines() or [""]
        line = sql.count("\n", 0, begins) + within if begins >= 0 else None
        shown = lines[within - 1] if within <= len(lines) else lines[0]
        problems.append(SqlProblem(statement.index or number, line, shown.strip(), _reason(statement)))
    return tuple(problems)


def check_sql(hook: DinkyHook, dinky_task_id: int, variables: Mapping[str, Any] | None = None) -> int:
    """Let Dinky check the SQL of a task as it would run it; nothing is started.

    :param variables: values for ``${name}``, as a submit would carry them.
    :return: how many statements are fine.
    :raises SqlCheckError: naming the lines and the reasons.
    :raises DinkyError: Dinky could not check it, for instance because a variable is missing.
    """
    sql = _sql_of(hook, dinky_task_id)
    given = {"variables": dict(variables)} if variables else {}
    explained = hook.explain_sql(dinky_task_id, sql, **given)
    if not explained:
        raise SqlCheckError(
            f"connection '{hook.dinky_conn_id}': the SQL of Dinky task {dinky_task_id} was not checked: Dinky named no "
            "statement of it. Nothing was started or stopped. Look at the task's SQL in Dinky"
        )
    problems = find_problems(sql, explained)
    if problems:
        config = hook.config
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise SqlCheckError(
            f"connection '{config.name}': the SQL of Dinky task {dinky_task_id} would not run. Nothing was started or "
            f"stopped.\n{config.redact(listed)}"
        )
    log.info("The SQL of Dinky task %s is fine: %s statements", dinky_task_id, len(explained))
    return len(explained)


def _sql_of(hook: DinkyHook, dinky_task_id: int) -> str:
    from airflow_provider_dinky.client import calls

    if hook.config.has_credentials:
        # What its editor shows, so that the lines are those that people see.
        statement = hook.client.send(calls.get_task(dinky_task_id)).statement
        if statement:
            return statement
    return hook.export_sql(dinky_task_id)


def _is_fine(statement: ExplainedStatement) -> bool:
    return not statement.error and statement.parse_true is not False and statement.explain_true is not False


def _line_within(trace: str) -> int:
    """The line that the deepest cause with a position names, from 1."""
    positions = _POSITION.findall(trace)
    return max(int(positions[-1][0]), 1) if positions else 1


def _reason(statement: ExplainedStatement) -> str:
    return _EXPECTED.sub("", statement.reason or "Dinky says that it is wrong, and not why").strip()
