# SPDX-License-Identifier: Apache-2.0
"""Reading Java stack traces, which is how Dinky and Flink say what went wrong."""

from __future__ import annotations

import re

_CAUSED_BY = re.compile(r"^[ \t]*Caused by:\s*", re.MULTILINE)
_FRAME = re.compile(r"^\s*(?:at\s+\S+\(.*\)?|\.\.\. \d+ (?:more|common frames omitted)|Suppressed:.*)\s*$")
_LONGEST = 2_000


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
