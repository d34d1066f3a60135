# SPDX-License-Identifier: Apache-2.0
"""Reading a request's parameters as Dinky's web layer (Spring) does, with the exceptions it throws."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .java import JavaFailure, Throwable
from .messages import Request
from .store import ADMIN


class InvalidField(Exception):
    """A field of the request's body that has to be there is not: code 6, with HTTP 400."""

    def __str__(self) -> str:
        name = str(self.args[0])
        return f"Field: {name}, {name.capitalize()} cannot be null"


@dataclass(frozen=True)
class Call:
    """A request on its way to a handler, with who sent it: ``tenant`` is None without a tenant cookie, ``user``
    an id of Dinky's."""

    request: Request
    tenant: int | None = None
    token: str = ""
    user: int = ADMIN

    def integer(self, name: str) -> int:
        """Return a query parameter that must be there and be a number."""
        value = self.text(name, "Integer")
        return _to_integer(value)

    def text(self, name: str, kind: str = "String") -> str:
        """Return a query parameter that must be there."""
        value = self.request.query.get(name)
        if value is None or (value == "" and kind == "Integer"):
            raise JavaFailure(
                Throwable(
                    "org.springframework.web.bind.MissingServletRequestParameterException",
                    f"Required request parameter '{name}' for method parameter type {kind} is not present",
                )
            )
        return value

    def optional(self, name: str) -> str | None:
        """Return a query parameter, or None where it is missing or empty."""
        return self.request.query.get(name) or None

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes-or-no query parameter."""
        value = self.request.query.get(name)
        if not value:
            return default
        if value.lower() in ("true", "yes", "on", "1"):
            return True
        if value.lower() in ("false", "no", "off", "0"):
            return False
        raise JavaFailure(
            _conversion(
                "Boolean", Throwable("java.lang.IllegalArgumentException", f"Invalid boolean value [{value}]")
            )
        )

    def body(self) -> dict[str, Any]:
        """Return the request's JSON object."""
        content_type = self.request.headers.get("content-type", "")
        if "json" not in content_type:
            shown = content_type or "application/octet-stream"
            if shown == "application/x-www-form-urlencoded":
                shown += ";charset=UTF-8"
            raise JavaFailure(
                Throwable(
                    "org.springframework.web.HttpMediaTypeNotSupportedException",
                    f"Content type '{shown}' not supported",
                )
            )
        try:
            body = json.loads(self.request.body)
        except json.JSONDecodeError as error:
            raise JavaFailure(_unreadable(_parse_error(error))) from error
        if not isinstance(body, dict):
            raise JavaFailure(_unreadable(_mismatch("Object", f"token {self.request.body[:20]}")))
        return body


def body_integer(body: dict[str, Any], name: str) -> int | None:
    """Return a number of a JSON object; a text that holds one will do, null is None."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value)
    raise JavaFailure(_unreadable(_mismatch("Integer", f'String "{value}"')))


def body_variables(body: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a submit."""
    given = body.get("variables") or {}
    if not isinstance(given, dict):
        raise JavaFailure(_unreadable(_mismatch("LinkedHashMap", f'String "{given}"')))
    return {str(name): "" if value is None else str(value) for name, value in given.items()}


def method_not_supported(method: str) -> JavaFailure:
    """The path is known, but not with this method."""
    return JavaFailure(
        Throwable(
            "org.springframework.web.HttpRequestMethodNotSupportedException",
            f"Request method '{method}' not supported",
        )
    )


def _to_integer(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        cause = Throwable("java.lang.NumberFormatException", f'For input string: "{value}"')
        raise JavaFailure(_conversion("Integer", cause)) from None


def _conversion(kind: str, cause: Throwable) -> Throwable:
    return cause.wrapped_in(
        "org.springframework.web.method.annotation.MethodArgumentTypeMismatchException",
        f"Failed to convert value of type 'java.lang.String' to required type 'java.lang.{kind}'; "
        f"nested exception is {cause}",
    )


def _mismatch(kind: str, found: str) -> Throwable:
    return Throwable(
        "com.fasterxml.jackson.databind.exc.InvalidFormatException",
        f"Cannot deserialize value of type `java.lang.{kind}` from {found}: "
        f"not a valid `java.lang.{kind}` value",
    )


def _parse_error(error: json.JSONDecodeError) -> Throwable:
    kind = "com.fasterxml.jackson.core.JsonParseException"
    if error.pos >= len(error.doc):
        return Throwable("com.fasterxml.jackson.core.io.JsonEOFException", "Unexpected end-of-input")
    found = error.doc[error.pos]
    expected = "double-quote to start field name" if "property name" in error.msg else "a valid value"
    return Throwable(kind, f"Unexpected character ('{found}' (code {ord(found)})): was expecting {expected}")


def _unreadable(cause: Throwable) -> Throwable:
    return cause.wrapped_in(
        "org.springframework.http.converter.HttpMessageNotReadableException",
        f"JSON parse error: {cause.message}; nested exception is {cause}",
    )
