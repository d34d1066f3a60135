# SPDX-License-Identifier: Apache-2.0
"""Reading Java stack traces, which is how Dinky and Flink say what went wrong."""

from __future__ import annotations

import json
import re
from contextlib import suppress

_CAUSED_BY = re.compile(r"^[ \t]*Caused by:\s*", re.MULTILINE)
_FRAME = re.compile(r"^\s*(?:at\s+\S+\(.*\)?|\.\.\. \d+ (?:more|common frames omitted)|Suppressed:.*)\s*$")
_LONGEST = 2_000
_QUOTED_SQL = re.compile(r"^\s*\d+\s{2,}.*$", re.MULTILINE)
"""A line of the statement that Dinky quotes in a message, with its number."""
_WRONG_SQL = re.compile(
    r"SqlParse|ParserException|CalciteException|CalciteContextException|ValidationException"
)
_GAVE_UP = re.compile(
    r"Timeout_?Exception|\btim(?:ed|e|ing)[ -]?out\b|\bdeadline\b|DEADLINE_EXCEEDED"
    r"|Could not get the rest endpoint|number of retries exceeds the limit|超时",
    re.IGNORECASE,
)


def root_cause(trace: str | None) -> str | None:
    """The message of the last ``Caused by:`` of a stack trace, or its first message where there is none.

    :param trace: a stack trace, or any message.
    :return: the exception class and its (possibly several) message lines, or None for an empty text.
    """
    if not trace or not trace.strip():
        return None
    deepest = next((part for part in reversed(_CAUSED_BY.split(trace)) if part.strip()), trace)
    lines: list[str] = []
    for line in deepest.strip().splitlines():
        if _FRAME.match(line):
            break
        lines.append(line.rstrip())
    text = "\n".join(lines).strip() or deepest.strip().splitlines()[0]
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def noted_cause(error: str | None) -> str | None:
    """The root cause of what Dinky noted as a job instance's ``error``: a trace, or a JSON list of them in a text."""
    traces: object = error
    if error and error.lstrip().startswith("["):
        with suppress(ValueError):
            traces = json.loads(error)
    told = [trace for trace in traces if isinstance(trace, str)] if isinstance(traces, list) else [error]
    return next(filter(None, map(root_cause, reversed(told))), root_cause(error))


def causes(trace: str | None) -> tuple[str, ...]:
    """The messages of a stack trace, deepest first: the deepest one whole, of the others the first line.

    :param trace: a stack trace, or any message.
    """
    deepest = root_cause(trace)
    if not trace or deepest is None:
        return ()
    parts = [part.strip() for part in _CAUSED_BY.split(trace) if part.strip()]
    return (deepest, *(part.splitlines()[0][:_LONGEST] for part in reversed(parts[:-1])))


def gave_up_waiting(trace: str | None) -> bool:
    """Whether a stack trace, or a message, says that somebody gave up waiting: what was asked for may come yet.

    On Kubernetes and YARN Dinky refuses a submit so, and the job comes up later (dinky#4462).
    """
    found = causes(trace)
    # SQL that cannot be read is quoted, and may hold any word.
    if not found or _WRONG_SQL.search(found[0]):
        return False
    return any(_GAVE_UP.search(_QUOTED_SQL.sub("", cause)) for cause in found)
