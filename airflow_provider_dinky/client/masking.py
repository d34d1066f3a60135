# SPDX-License-Identifier: Apache-2.0
"""Hiding the secrets that Flink SQL carries, before a text reaches a log, an error or a lineage facet."""

from __future__ import annotations

import re

MASK = "***"

# Each pattern reads a text once, however long: stack traces and answers may be megabytes.
_NAME = re.compile(r"[\w.\-]+")
_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|access[-_.]?key|api[-_.]?key|private[-_.]?key"
    r"|account[-_.]?key|sasl\.jaas\.config",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"""\\*["'`]?\s*(?:=>|[=:]+)\s*        # the end of the name, an equals sign
    (?P<value>
        (?P<q>\\+")(?:(?!(?<!\\)(?P=q)).)*(?P=q)  # JSON within JSON
      | "(?:[^"\\]|\\.)*"                  # JSON, Java
      | (?P<sql>'(?:[^']|'')*')
      | [^\s,;&'"(){}\[\]]+                # settings, a map of Java's, the query of a URL
    )""",
    re.VERBOSE | re.DOTALL,
)
_URL_USER = re.compile(r"(?P<scheme>(?<![\w+.\-])[a-z][\w+.\-]*://[^\s/:@'\"]*:)[^\s/'\"]+@", re.IGNORECASE)


def mask_secrets(text: str, *known: str | None) -> str:
    """The text with the values of secret-looking options, and the known secrets, replaced by ``***``.

    :param text: SQL, a stack trace, a message: anything that may quote SQL.
    :param known: secrets of the connection, hidden wherever they stand.
    """
    for secret in known:
        if secret and len(secret) >= 4:
            text = text.replace(secret, MASK)
    return _URL_USER.sub(rf"\g<scheme>{MASK}@", _without_values(text))


def _without_values(text: str) -> str:
    parts, done = [], 0
    for name in _NAME.finditer(text):
        if name.start() < done or not _SECRET.search(name[0]):
            continue
        found = _VALUE.match(text, name.end())
        if found:
            parts += [text[done : found.start("value")], f"'{MASK}'" if found["sql"] else MASK]
            done = found.end()
    return "".join([*parts, text[done:]])
