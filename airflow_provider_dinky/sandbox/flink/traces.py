# SPDX-License-Identifier: Apache-2.0
"""Java's exceptions, as Flink tells them, as the sandbox's data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce

from airflow_provider_dinky.sandbox.java import Throwable

_FRAME = re.compile(r"^\s+(?:at |\.\.\. \d+ (?:more|common frames))")
_HEAD = re.compile(r"^(?:Caused by: )?([\w.$]+\.[\w.$]+)(?:: (.*))?$", re.DOTALL)


def from_chain(links: Iterable[Sequence[str]]) -> Throwable:
    """Return an exception from ``(class, message)`` of itself, its cause, that one's cause ..."""
    chain = [(kind, message) for kind, message in links]
    kind, message = chain[-1]
    return reduce(lambda cause, link: cause.wrapped_in(*link), chain[-2::-1], Throwable(kind, message))


def from_trace(trace: str) -> Throwable:
    """Return the exception of a stack trace as Java prints it."""
    heads: list[str] = []
    for line in trace.strip().splitlines():
        if _FRAME.match(line) or line.startswith("\tSuppressed: "):
            continue
        if not heads or line.startswith("Caused by: "):
            heads.append(line)
        else:
            heads[-1] += f"\n{line}"
    return from_chain([_link(head.rstrip()) for head in heads] or [("java.lang.RuntimeException", "")])


def _link(head: str) -> tuple[str, str]:
    found = _HEAD.match(head)
    if found is None:
        return "java.lang.RuntimeException", head
    return found.group(1), found.group(2) or ""
