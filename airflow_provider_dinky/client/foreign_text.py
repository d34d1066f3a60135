# SPDX-License-Identifier: Apache-2.0
"""Texts from outside, made fit for what stores and sends them: the one boundary. Pure.

PostgreSQL refuses NUL in a text, and no driver takes half a surrogate pair; an event with either ends the triggerer,
again after each restart (apache/airflow#70385). Every answer of Dinky and Flink is cleaned when it is decoded; what
makes an event, an exception or an XCom of a text bounds it.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST = 8 * 1024
"""Bytes of UTF-8 of a text in an event or an exception; the whole is in the debug log."""
_UNFIT = re.compile("[\0\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_INSTEAD = "\N{REPLACEMENT CHARACTER}"
_CUT = " …"


def clean(text: str, limit: int | None = None) -> str:
    """The text without NUL and without half surrogate pairs.

    :param limit: bytes of UTF-8 at most; None for any length.
    """
    if _UNFIT.search(text):
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = whole.replace("\0", _INSTEAD)
    if limit is None or len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT


def cleaned(data: Any) -> Any:
    """JSON whose texts are all clean, names included."""
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, list):
        return [cleaned(item) for item in data]
    if isinstance(data, dict):
        return {clean(str(name)): cleaned(value) for name, value in data.items()}
    return data


def may_be_unfit(written: str) -> bool:
    """Whether JSON, as it is written, could hold a text that is not clean: nearly none does, which saves the look."""
    if "\\u" in written and _ESCAPED.search(written):
        return True
    return not written.isascii() and _UNFIT.search(written) is not None
