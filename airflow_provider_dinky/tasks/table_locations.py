# SPDX-License-Identifier: Apache-2.0
"""Where the tables of a Flink SQL text really are, as far as their connectors tell, by OpenLineage's naming rules.

The rules: https://openlineage.io/docs/spec/naming. A topic, a database table or a path has one name, whoever reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_STRING = r"'(?:[^']|'')*'"
_NO_CODE = re.compile(rf"(?P<keep>{_STRING}|`[^`]*`)|--[^\n]*|/\*.*?\*/", re.DOTALL)
_STATEMENT = re.compile(rf"(?:{_STRING}|`[^`]*`|[^;'`])+", re.DOTALL)
_NAME = r"(?:`[^`]+`|\w+)(?:\s*\.\s*(?:`[^`]+`|\w+))*"
_CREATE = re.compile(
    rf"\s*CREATE\s+(?:TEMPORARY\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{_NAME})", re.IGNORECASE
)
_WITH = re.compile(r"\bWITH\s*\((?P<options>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*$", re.IGNORECASE)
_OPTION = re.compile(rf"({_STRING})\s*=\s*({_STRING})")
_PART = re.compile(r"`([^`]+)`|(\w+)")
_CDC_PORTS = {"mysql-cdc": ("mysql", "3306"), "postgres-cdc": ("postgres", "5432")}
_JDBC_PORTS = {"mysql": "3306", "mariadb": "3306", "postgresql": "5432"}


class Location(NamedTuple):
    """A dataset's name in OpenLineage."""

    namespace: str
    name: str


def locations(sql: str) -> dict[str, Location]:
    """The tables that a text creates and whose connectors tell where they are, by their names in the text.

    :param sql: statements of Flink SQL; what is not understood is left out.
    """
    found = {}
    code = _NO_CODE.sub(lambda match: match["keep"] or " ", sql)
    for statement in _STATEMENT.findall(code):
        head, end = _CREATE.match(statement), _WITH.search(statement.rstrip())
        if head is None or end is None:
            continue
        options = {_text(key).lower(): _text(value) for key, value in _OPTION.findall(end["options"])}
        location = _location(options)
        if location is not None and "${" not in "".join(location):
            found[".".join(a or b for a, b in _PART.findall(head["name"]))] = location
    return found


def location_of(table: str, known: Mapping[str, Location]) -> Location | None:
    """Where a table is that Dinky names with catalog and database; None where that is not certain."""
    fitting = [where for name, where in known.items() if table == name or table.endswith(f".{name}")]
    return fitting[0] if len(fitting) == 1 else None


def _location(options: Mapping[str, str]) -> Location | None:
    connector = options.get("connector", "")
    if connector in ("kafka", "upsert-kafka"):
        return _kafka(options)
    if connector == "jdbc":
        return _jdbc(options.get("url", ""), options.get("table-name", ""))
    if connector in _CDC_PORTS:
        return _cdc(*_CDC_PORTS[connector], options)
    if connector == "filesystem":
        return _path(options.get("path", ""))
    return None


def _kafka(options: Mapping[str, str]) -> Location | None:
    server = options.get("properties.bootstrap.servers", "").partition(",")[0].strip()
    topic = options.get("topic", "").strip()
    # Several topics, or a pattern, are no one dataset.
    if not server or not topic or ";" in topic:
        return None
    return Location(f"kafka://{server if ':' in server else f'{server}:9092'}", topic)


def _jdbc(url: str, table: str) -> Location | None:
    kind, _, rest = url.removeprefix("jdbc:").partition(":")
    port = _JDBC_PORTS.get(kind)
    parts = urlsplit(f"//{rest.removeprefix('//')}")
    database = parts.path.strip("/")
    if port is None or not url.startswith("jdbc:") or not _host(parts.netloc) or not database or not table:
        return None
    scheme = "postgres" if kind == "postgresql" else "mysql"
    if scheme == "postgres" and "." not in table:
        table = f"public.{table}"
    return Location(f"{scheme}://{_host(parts.netloc, port)}", f"{database}.{table}")


def _cdc(scheme: str, port: str, options: Mapping[str, str]) -> Location | None:
    names = ["database-name", "table-name"]
    if scheme == "postgres":
        names.insert(1, "schema-name")
    parts = [options.get(name, "") for name in names]
    # Names may be patterns, which stand for many tables.
    if not options.get("hostname") or not all(re.fullmatch(r"[\w$-]+", part) for part in parts):
        return None
    return Location(f"{scheme}://{options['hostname']}:{options.get('port', port)}", ".".join(parts))


def _path(path: str) -> Location | None:
    parts = urlsplit(path)
    if not path or parts.scheme in ("", "file"):
        return Location("file", parts.path) if parts.path else None
    if not parts.netloc:
        return None
    scheme = "s3" if parts.scheme in ("s3a", "s3n", "s3p") else parts.scheme
    is_bucket = scheme in ("s3", "gs", "oss")
    return Location(
        f"{scheme}://{_host(parts.netloc)}", (parts.path.lstrip("/") if is_bucket else parts.path) or "/"
    )


def _host(netloc: str, port: str | None = None) -> str:
    """The host and its port, without user and password."""
    host = netloc.rpartition("@")[2]
    return f"{host}:{port}" if port and host and not re.search(r":\d+$", host) else host


def _text(quoted: str) -> str:
    return quoted[1:-1].replace("''", "'")
