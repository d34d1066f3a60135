# SPDX-License-Identifier: Apache-2.0
"""Makes the package's docstrings readable as Markdown: Sphinx's roles and literal blocks become Markdown's.

griffe takes a paragraph behind the parameters for a part of the last one, so it goes before them.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:class|func|meth|mod):`(?P<short>~?)(?P<target>[\w.]+)`")
_LITERAL_BLOCK = re.compile(r"^(?P<text>.*?)[ ]?::$", re.MULTILINE)


def with_fields_last(text: str) -> str:
    """The text with the paragraphs of ``:param`` and the like at its end."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(sorted(paragraphs, key=lambda paragraph: paragraph.startswith(":")))


def as_markdown(text: str, known: frozenset[str] = frozenset()) -> str:
    """The text with roles as code, or as links where the reference has the target, and without double colons."""

    def link(role: re.Match[str]) -> str:
        target = role["target"]
        shown = target.rpartition(".")[2] if role["short"] else target.lstrip(".")
        return f"[`{shown}`][{target}]" if target in known else f"`{shown}`"

    return _LITERAL_BLOCK.sub(lambda block: f"{block['text']}:" if block["text"] else "", _ROLE.sub(link, text))


LINKED = frozenset({"airflow_provider_dinky.client.errors.DinkyError"})
"""What roles in docstrings point to and the reference shows."""


class PlainDocstrings(Extension):
    """Rewrites every docstring once it is collected."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite one."""
        if obj.docstring is not None:
            obj.docstring.value = with_fields_last(as_markdown(obj.docstring.value, LINKED))
