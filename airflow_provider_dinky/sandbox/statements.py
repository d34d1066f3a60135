# SPDX-License-Identifier: Apache-2.0
"""What a Dinky does with SQL by its words: which statements start a job, and which state fits which query."""

from __future__ import annotations

import re

from . import failures
from .flink.statements import bare, parse
from .java import JavaFailure, Refusal

_JOB = re.compile(r"^(INSERT|CREATE\s+(OR\s+REPLACE\s+)?TABLE\b.*\bAS\s+(SELECT|WITH)\b)", re.I | re.S)
_QUERY = re.compile(r"^(SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|VALUES)\b", re.I)
_STATEMENT_SET = re.compile(r"^EXECUTE\s+STATEMENT\s+SET\b", re.I)
_AGGREGATE = re.compile(r"\b(SUM|COUNT|AVG|MIN|MAX)\s*\(", re.I)


def refuse_what_starts_no_job(sql: str) -> None:
    """Raise what Dinky 1.1 answers to a submit of Flink SQL that starts no job."""
    found = [bare(statement.text) for statement in parse(sql)]
    if any(_STATEMENT_SET.match(text) for text in found):
        raise JavaFailure(failures.several_statements(sql))
    if any(_JOB.match(text) for text in found):
        return
    if any(_QUERY.match(text) for text in found):
        raise Refusal(
            "The [Run] button does not support select statements, please switch to the [Query] button."
        )
    raise Refusal("The JobID or JobManagerAddress is null.")


def job_name(sql: str) -> str | None:
    """Return the name that a script sets for its job."""
    names = [one.value for one in parse(sql) if one.kind == "set" and one.key == "pipeline.name"]
    return names[-1] if names else None


def state_fits(before: str | None, after: str) -> bool:
    """Whether a job's state can be restored under other SQL: not with other aggregates than before.

    A stand-in's judgement, after what was tried on Flink 1.18: other filters fit, one more aggregate does not.
    """
    return before is None or _aggregates(before) == _aggregates(after)


def _aggregates(sql: str) -> list[str]:
    return sorted(name.upper() for name in _AGGREGATE.findall(sql))
