# SPDX-License-Identifier: Apache-2.0
"""Hiding the secrets that Flink SQL carries, before a text reaches a log, an error or a lineage facet."""

from __future__ import annotations

import re

MASK = "***"

# Each pattern reads a text once, however long: stack traces and answers may be megabytes.
_NAME = re.compile(r"[\w.\-]+")
_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|access[-_.]?key|api[-_.]?key|private[-_.]?key"
    r"|account[-_.]?key|sasl\.jaas\.config|authorization$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"""\\*["'`]?\s*(?:=>|[=:]+)\s*        # the end of the name, an equals sign
    (?P<value>
        (?P<q>\\+")(?:(?!(?<!\\)(?P=q)).)*(?P=q)  # JSON within JSON
      | "(?:[^"\\]|\\.)*"                  # JSON, Java
      | (?P<sql>'(?:[^']|'')*')
      | (?:\[?(?i:bearer|basic)\s+)?      # an HTTP header
        [^\s,;&'"(){}\[\]]+                # settings, a map of Java's, the query of a URL
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = r"(?:\s|\\+[nrt])"  # as it is, or as JSON writes it
_STATEMENT = re.compile(
    rf"""(?P<start>(?:\b|(?<=\\[nrt]))(?:
        identified{_SPACE}+by(?:{_SPACE}+password)?{_SPACE}+
      | identified{_SPACE}+(?:with|via){_SPACE}+[\w.]+{_SPACE}+(?:by|as|using){_SPACE}+
      | set{_SPACE}+password{_SPACE}+for{_SPACE}+[^\s=;]{{1,200}}{_SPACE}*={_SPACE}*
      | password(?:{_SPACE}+|{_SPACE}*\({_SPACE}*)
    ))(?:
        '(?:[^'\\]|\\''|\\.|'')*'           # a quote may be doubled, or have a backslash before it
      | '(?:[^']|'')*'
      | (?P<q>\\+")(?:(?!(?<!\\)(?P=q)).)*(?P=q)
      | "(?:[^"\\]|\\.)*"
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
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
    text = _STATEMENT.sub(rf"\g<start>'{MASK}'", text)
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
