# SPDX-License-Identifier: Apache-2.0
"""Tells how two JSON answers differ: keys, kinds of values, and every text that is not left to chance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

FRAME = re.compile(r"^\t(?:at |\.\.\. \d+ more)")

# Texts of these forms hold a moment, an id or a path: the form has to be the same, the text cannot be.
FORMS = {
    "time": re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"),
    "iso time": re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$"),
    "precise iso time": re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}$"),
    "hex id": re.compile(r"^[0-9a-f]{32}$"),
    "uuid": re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    "savepoint path": re.compile(r"^file:/.*/savepoint-[0-9a-f]{6}-[0-9a-f]{12}$"),
}
UNSET_TIME = re.compile(r"^(1970-01-01 00:00:00|1969-12-31 23:59:59)$")


def differences(recorded: Any, answered: Any, path: str = "$") -> Iterator[tuple[str, str]]:
    """Yield ``(path, what differs)`` for everything in ``answered`` that a real server would not say.

    Numbers are compared as numbers only; lists of different length by their first entries.
    """
    if kind(recorded) != kind(answered):
        yield path, f"recorded {_shown(recorded)}, answered {_shown(answered)}"
    elif isinstance(recorded, dict):
        for key in sorted(recorded.keys() ^ answered.keys()):
            yield f"{path}.{key}", "recorded only" if key in recorded else "answered only"
        for key in recorded.keys() & answered.keys():
            yield from differences(recorded[key], answered[key], f"{path}.{key}")
    elif isinstance(recorded, list):
        if bool(recorded) != bool(answered):
            yield path, f"recorded {len(recorded)} entries, answered {len(answered)}"
        pairs = list(zip(recorded, answered, strict=False))
        for position, (left, right) in enumerate(pairs if len(recorded) == len(answered) else pairs[:1]):
            yield from differences(left, right, f"{path}[{position}]")
    elif isinstance(recorded, bool) and recorded != answered:
        yield path, f"recorded {recorded}, answered {answered}"
    elif isinstance(recorded, str) and _text(recorded) != _text(answered):
        yield path, f"recorded {_shown(_text(recorded))}, answered {_shown(_text(answered))}"


def kind(value: Any) -> str:
    """Return the JSON kind of a value."""
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "number", float: "number", str: "text", dict: "object", list: "list"}
    return kinds[type(value)]


def _text(text: str) -> str:
    if UNSET_TIME.match(text):
        return text
    for name, form in FORMS.items():
        if form.match(text):
            return f"<{name}>"
    return "\n".join(line for line in text.split("\n") if not FRAME.match(line))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]} ... {text[-90:]}"
