# SPDX-License-Identifier: Apache-2.0
"""A task's SQL, taken apart the way Dinky does: settings first, and all INSERTs together are one job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_PIECE = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/|;|[^;'"`/-]+|.""", re.DOTALL
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*(?!\+).*?\*/)+", re.DOTALL)
_SET = re.compile(r"^SET\s+(?P<key>'[^']+'|[\w.\-]+)\s*=\s*(?P<value>.*)$", re.IGNORECASE | re.DOTALL)
_RESET = re.compile(r"^RESET\s+(?P<key>'[^']+'|[\w.\-]+)$", re.IGNORECASE)
_INSERT = re.compile(r"^INSERT\b", re.IGNORECASE)
_SET_OF_STATEMENTS = re.compile(r"^EXECUTE\s+STATEMENT\s+SET\s+BEGIN\b", re.IGNORECASE)
_BEGIN = re.compile(r"^BEGIN\s+STATEMENT\s+SET$", re.IGNORECASE)
_END = re.compile(r"^END$", re.IGNORECASE)

Kind = Literal["set", "reset", "insert", "execute"]


@dataclass(frozen=True)
class Statement:
    """One statement: ``text`` as it was written; ``key`` and ``value`` of a SET or RESET."""

    kind: Kind
    text: str
    key: str = ""
    value: str = ""


def parse(sql: str) -> list[Statement]:
    """Return the statements of a script in their order."""
    return [_statement(text) for text in _whole(_split(sql))]


def _split(sql: str) -> Iterator[str]:
    """Yield what stands between semicolons, except for those in texts, names and comments."""
    current = ""
    for piece in _PIECE.findall(sql):
        if piece == ";":
            yield current
            current = ""
        else:
            current += piece
    yield current


def _whole(parts: Iterator[str]) -> Iterator[str]:
    """Yield statements: no empty ones, and statement sets in one."""
    for part in parts:
        start = bare(part)
        if _SET_OF_STATEMENTS.match(start):
            together = part
            for inner in parts:
                together += f";{inner}"
                if _END.match(bare(inner)):
                    break
            yield together.strip()
        elif start and not _BEGIN.match(start) and not _END.match(start):
            yield part.strip()


def _statement(text: str) -> Statement:
    start = bare(text)
    if found := _SET.match(start):
        return Statement("set", text, _unquoted(found["key"]), _unquoted(found["value"]))
    if found := _RESET.match(start):
        return Statement("reset", text, _unquoted(found["key"]))
    return Statement("insert" if _INSERT.match(start) else "execute", text)


def bare(text: str) -> str:
    """Return a statement without the comments before it, to see what it is."""
    comments = _COMMENTS.match(text)
    return text[comments.end() if comments else 0 :].strip()


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
