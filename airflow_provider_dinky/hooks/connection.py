# SPDX-License-Identifier: Apache-2.0
"""From an Airflow connection to a :class:`DinkyConfig`: the one place that reads connection fields."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

from airflow_provider_dinky.client.address import AddressError, bracketed, normal_host
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError
from airflow_provider_dinky.get_provider_info import CONNECTION_TYPE, DEFAULT_PORT, EXTRA_FIELDS

log = logging.getLogger(__name__)

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_TYPES = frozenset({CONNECTION_TYPE, "http", "https", "generic"})
"""What a connection to a Dinky may be, beside one without a type: what else there is leads to something else."""
_LONGEST_WAIT = 24 * 3600.0
_LARGEST_ID = 2**31 - 1
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""What a cookie can carry (RFC 6265)."""
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_HTTP_LIBRARYS_OWN = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)


class ConnectionLike(Protocol):
    """What is read of an Airflow connection, of any Airflow version."""

    conn_id: Any
    conn_type: Any
    host: Any
    port: Any
    schema: Any
    login: Any
    password: Any
    extra: Any


def read_connection(connection: ConnectionLike) -> DinkyConfig:
    """The settings of an Airflow connection, checked.

    :raises DinkyConfigError: naming the connection and the field that cannot be used.
    """
    return _Reader(connection).config()


class _Reader:
    def __init__(self, connection: ConnectionLike) -> None:
        self._connection = connection
        self._name = str(connection.conn_id)
        self._extra = self._parsed_extra()

    def config(self) -> DinkyConfig:
        conn_type = _clean(self._connection.conn_type)
        if conn_type and conn_type.lower() not in _TYPES:
            # Its password is for another server, and must not be sent to this one.
            self._fail("conn_type", f"is {conn_type!r}; make a connection of type {CONNECTION_TYPE!r}")
        # A password goes word for word: blanks at its ends are part of it.
        login, password = _clean(self._connection.login), str(self._connection.password or "") or None
        if login and not password:
            self._fail("password", "is empty, but a user is given; for anonymous use leave both empty")
        if password and not login:
            self._check_token(password)
        return DinkyConfig(
            base_url=self._base_url(),
            name=self._name,
            username=login,
            password=password if login else None,
            token=None if login else password,
            tenant_id=self._tenant_id(),
            verify=self._flag("verify", True),
            ca_bundle=self._ca_bundle(),
            connect_timeout=self._seconds("connect_timeout", 5.0),
            read_timeout=self._seconds("read_timeout", 60.0),
            submit_timeout=self._seconds("submit_timeout", 300.0),
            savepoint_timeout=self._seconds("savepoint_timeout", 600.0),
            allow_flink_rest=self._flag("allow_flink_rest", False),
            trust_env=self._flag("trust_env", True),
            headers=self._headers(),
        )

    def _check_token(self, token: str) -> None:
        if token.strip() != token:
            self._fail(
                "password",
                "begins or ends with a blank or a line break, and no user is given, so it is a token, which has none: "
                "paste it again without",
            )
        if not _TOKEN.fullmatch(token):
            self._fail(
                "password", "is no token as Dinky issues it, and no user is given whose password it is"
            )

    def _headers(self) -> dict[str, str]:
        given = self._given("headers", {})
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError):
                given = None
        if not isinstance(given, Mapping):
            self._fail(
                "headers", 'must be a JSON object of names and texts, such as {"Authorization": "..."}'
            )
        headers: dict[str, str] = {}
        for name, value in given.items():
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                self._fail("headers", f"holds the name {str(name)[:40]!r}, which is none of a header")
            if name.lower() in _HTTP_LIBRARYS_OWN or name.lower() in map(str.lower, headers):
                self._fail(
                    "headers", f"cannot hold {name!r}: it is set by the HTTP library, or is there twice"
                )
            text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if text is None or (isinstance(text, str) and not text.strip()):
                continue
            if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
                # Not quoted: it may be a secret.
                self._fail(
                    "headers",
                    f"holds a value of {name!r} that no header can have: it must be a text of printable ASCII, "
                    "without blanks or line breaks at its ends",
                )
            headers[name] = text
        return headers

    def _base_url(self) -> str:
        host = _clean(self._connection.host)
        if not host:
            self._fail("host", "is empty; put Dinky's host name there")
        try:
            host = bracketed(host)
            pasted = urlsplit(host if "://" in host else f"//{host}")
        except AddressError as error:
            self._fail("host", str(error))
        except ValueError:
            self._fail("host", "is not a host name")
        scheme = (_clean(self._connection.schema) or pasted.scheme or "http").lower()
        if scheme not in ("http", "https"):
            self._fail("schema", f"must be http or https, not {scheme!r}")
        if pasted.scheme and pasted.scheme.lower() != scheme:
            self._fail("schema", f"says {scheme}, but host says {pasted.scheme}")
        if pasted.username or pasted.password:
            self._fail("host", "holds a user or password; put them into their own fields")
        if not pasted.hostname or any(c.isspace() or not c.isprintable() for c in host):
            self._fail("host", "is not a host name")
        try:
            name = normal_host(pasted.hostname)
        except AddressError as error:
            self._fail("host", str(error))
        shown = f"[{name}]" if ":" in name else name
        return f"{scheme}://{shown}:{self._port(pasted.netloc)}{pasted.path.rstrip('/')}"

    def _port(self, pasted: str) -> int:
        _, colon, in_host = pasted.rpartition("]")[2].rpartition(":")
        given = self._connection.port
        port = (
            _port_number(in_host if colon else DEFAULT_PORT) if given in (None, "") else _port_number(given)
        )
        if not port:
            self._fail("port", f"must be a port number, not {in_host if given in (None, '') else given!r}")
        if colon and _port_number(in_host) != port:
            self._fail("port", f"says {port}, but host says {in_host}")
        return port

    def _parsed_extra(self) -> Mapping[str, Any]:
        extra = dict(self._json_object("extra", self._connection.extra))
        # What Airflow wraps Extra into where a URI or an old form has to carry it.
        wrapped = self._json_object("__extra__", extra.pop("__extra__", None))
        extra = {**wrapped, **extra}
        unknown = sorted(str(key) for key in extra if key not in EXTRA_FIELDS)
        if unknown:
            log.warning(
                "Connection '%s': extra has unknown fields %s; known are %s",
                self._name,
                ", ".join(unknown),
                ", ".join(EXTRA_FIELDS),
            )
        return extra

    def _json_object(self, field: str, text: Any) -> Mapping[str, Any]:
        if text is None or (isinstance(text, str) and not text.strip()):
            return {}
        try:
            found = json.loads(text) if isinstance(text, str) else text
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, Mapping):
            self._fail(field, "must be a JSON object")
        return found

    def _tenant_id(self) -> int:
        value = self._given("tenant_id", 1)
        number = _number(value)
        if not 1 <= number <= _LARGEST_ID or number != int(number):
            self._fail("tenant_id", f"must be a whole number from 1, not {value!r}")
        return int(number)

    def _seconds(self, field: str, default: float) -> float:
        value = self._given(field, default)
        seconds = _number(value)
        if not 0 < seconds <= _LONGEST_WAIT:
            self._fail(field, f"must be a number of seconds above 0 and up to a day, not {value!r}")
        return seconds

    def _flag(self, field: str, default: bool) -> bool:
        value = self._given(field, default)
        spelled = str(value).strip().lower()
        if spelled not in _TRUE | _FALSE:
            self._fail(field, f"must be true or false, not {value!r}")
        return spelled in _TRUE

    def _ca_bundle(self) -> str | None:
        path = _clean(self._given("ca_bundle", None))
        if path and not _readable(path):
            self._fail("ca_bundle", f"is no readable file on this machine: {path!r}")
        return path

    def _given(self, field: str, default: Any) -> Any:
        value = self._extra.get(field)
        is_blank = value is None or (isinstance(value, str) and not value.strip())
        return default if is_blank else value

    def _fail(self, field: str, problem: str) -> NoReturn:
        raise DinkyConfigError(f"connection '{self._name}': field '{field}' {problem}")


def _port_number(value: Any) -> int:
    """The value as a port number; 0 if it is none."""
    try:
        port = 0 if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return port if 0 < port < 65_536 else 0


def _number(value: Any) -> float:
    """The value as a number; 0, which no field takes, if it is none."""
    try:
        return 0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _readable(path: str) -> bool:
    try:
        return os.access(path, os.R_OK)
    except ValueError:  # no path at all, such as one with a null character
        return False


def _clean(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None
