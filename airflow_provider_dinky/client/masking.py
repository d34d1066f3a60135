# SPDX-License-Identifier: Apache-2.0
"""Hiding the secrets that Flink SQL carries, before a text reaches a log, an error or a lineage facet."""

from __future__ import annotations

import re

MASK = "***"

_SECRET_NAME = (
    r"[\w.\-]*(?:passw(?:or)?d|pwd|secret|token|credential|access[-_.]?key|api[-_.]?key|private[-_.]?key"
    r"|account[-_.]?key|sasl\.jaas\.config)[\w.\-]*"
)
_SQL_OPTION = re.compile(
    rf"(?P<name>(?P<q>['\"`]){_SECRET_NAME}(?P=q)\s*[=:]\s*)'(?:[^']|'')*'", re.IGNORECASE
)
_ASSIGNMENT = re.compile(
    rf"(?P<name>(?P<q>[\"'`]?)\b{_SECRET_NAME}(?P=q)\s*[=:]\s*)(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&'\"(){{}}\[\]]+)",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"(?P<scheme>[a-z][\w+.\-]*://[^\s/:@'\"]*:)[^\s@/'\"]+@", re.IGNORECASE)


def mask_secrets(text: str, *known: str | None) -> str:
    """The text with the values of secret-looking options, and the known secrets, replaced by ``***``.

    :param text: SQL, a stack trace, a message: anything that may quote SQL.
    :param known: secrets of the connection, hidden wherever they stand.
    """
    for secret in known:
        if secret and len(secret) >= 4:
            text = text.replace(secret, MASK)
    text = _SQL_OPTION.sub(rf"\g<name>'{MASK}'", text)
    text = _ASSIGNMENT.sub(rf"\g<name>{MASK}", text)
    return _URL_USER.sub(rf"\g<scheme>{MASK}@", text)
