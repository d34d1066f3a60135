# SPDX-License-Identifier: Apache-2.0
"""Exchanges recorded from a real Dinky 1.1.0, for the contract tests of the client and of the sandbox.

The trimmed recordings of ``recordings/`` are always there. Where the full ones lie beside the checkout
(``../shared/dinky/recordings``), they are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRIMMED = Path(__file__).resolve().parent / "recordings"
FULL = Path(__file__).resolve().parents[3] / "shared" / "dinky" / "recordings"


@dataclass(frozen=True)
class Exchange:
    """One request to a real server and its answer, word for word.

    ``status`` and ``body`` are the answer's (``body`` is parsed JSON, or text where it was none).
    ``cookies`` names what the recording client's cookie jar held afterwards; ``headers`` are extra request
    headers; both only where recorded. ``source`` is the file's stem, ``full`` tells a full recording from
    a trimmed one, ``position`` is the line's number in its file.
    """

    name: str
    method: str
    path: str
    params: dict[str, Any] | None
    json: Any
    status: int
    body: Any
    source: str
    position: int
    full: bool
    headers: dict[str, str] | None = None
    cookies: list[str] = field(default_factory=list)
    set_cookie: str | None = None

    @property
    def label(self) -> str:
        """A readable, unique id for ``pytest.param(..., id=...)``."""
        return f"{self.source}{'-full' if self.full else ''}:{self.position}:{self.name}"


@dataclass(frozen=True)
class StatusWalk:
    """What polling ``getJobInstance`` once a second saw: ``(seconds, status)`` for each change."""

    name: str
    statuses: list[tuple[float, str]]
    source: str
    position: int
    full: bool


def recordings() -> list[Path]:
    """Return the recording files: the trimmed ones, then the full ones where they are there."""
    return [*sorted(TRIMMED.glob("*.jsonl")), *sorted(FULL.glob("*.jsonl"))]


def read(recording: Path) -> list[Exchange | StatusWalk]:
    """Return the lines of one recording in their order."""
    return list(_lines(recording))


def exchanges(*, full: bool = True) -> list[Exchange]:
    """Return the exchanges of all recordings; without the full recordings if ``full`` is false."""
    lines = [line for recording in recordings() for line in read(recording)]
    return [line for line in lines if isinstance(line, Exchange) and (full or not line.full)]


def exchange(name: str) -> Exchange:
    """Return the trimmed exchange called ``name`` (the first, should two recordings share the name)."""
    for candidate in exchanges(full=False):
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def _lines(recording: Path) -> Iterator[Exchange | StatusWalk]:
    full = recording.parent == FULL
    for position, text in enumerate(recording.read_text(encoding="utf-8").splitlines()):
        line = json.loads(text)
        if "statuses" in line:
            statuses = [(seconds, status) for seconds, status in line["statuses"]]
            yield StatusWalk(line["name"], statuses, recording.stem, position, full)
            continue
        yield Exchange(
            name=line["name"],
            method=line["method"],
            path=line["path"],
            params=line.get("params"),
            json=line.get("json"),
            status=line["status"],
            body=line["body"],
            source=recording.stem,
            position=position,
            full=full,
            headers=line.get("headers"),
            cookies=line.get("cookies") or [],
            set_cookie=line.get("set_cookie"),
        )
