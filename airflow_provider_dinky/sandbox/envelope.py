# SPDX-License-Identifier: Apache-2.0
"""The forms in which Dinky answers: its envelope, its bare pages, its error bodies and its times.

Errors come with HTTP 200, a reason in ``msg`` and, for an exception, the stack trace in ``data``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from .calls import body_integer
from .java import Throwable
from .messages import Response

T = TypeVar("T")

SUCCESS, REFUSED, EXCEPTION, BAD_PARAMETERS, NOT_SIGNED_IN = 0, 1, 5, 6, 7

# A real server was seen to mix two zones: its database's, and (for Spring's own error bodies) the machine's.
_SPRING_ZONE = timedelta(hours=8)


def time_text(seconds: float) -> str:
    """Return a time as Dinky writes it into most fields: ``2026-11-22 02:19:02``, without a zone."""
    return _utc(seconds).strftime("%Y-%m-%d %H:%M:%S")


def iso_text(seconds: float, digits: int = 9) -> str:
    """Return a time as Java's LocalDateTime prints it: ``2026-11-22T02:19:02.572445000``, without a zone."""
    fraction = f"{seconds % 1:.6f}"[2:].ljust(digits, "0")
    text = _utc(seconds).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction[:digits]}" if digits else text


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)


class Envelopes:
    """Writes answers with the time of ``now``."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def success(self, data: Any, msg: str = "Successfully") -> Response:
        """Answer that it worked."""
        return self._answer(SUCCESS, data, msg)

    def refusal(self, msg: str, data: Any = None) -> Response:
        """Answer that Dinky refuses, and why."""
        return self._answer(REFUSED, data, msg)

    def exception(self, throwable: Throwable) -> Response:
        """Answer with an exception that came through to Dinky's top."""
        return self._answer(EXCEPTION, throwable.trace(), throwable.message)

    def invalid(self, msg: str) -> Response:
        """Answer that a field of the request is wrong."""
        return self._answer(BAD_PARAMETERS, None, msg, 400)

    def not_signed_in(self, msg: str, status: int = 401) -> Response:
        """Answer that the caller is not signed in; a wrong password comes with HTTP 200."""
        return self._answer(NOT_SIGNED_IN, None, msg, status)

    def not_found(self, path: str) -> Response:
        """Answer an unknown path: Spring's own body, no envelope."""
        timestamp = time_text(self._now() + _SPRING_ZONE.total_seconds())
        return Response.of({"timestamp": timestamp, "status": 404, "error": "Not Found", "path": path}, 404)

    def _answer(self, code: int, data: Any, msg: str, status: int = 200) -> Response:
        now = time_text(self._now())
        body = {"data": data, "code": code, "msg": msg, "time": now, "success": code == SUCCESS}
        return Response.of(body, status)


def page(rows: Iterable[T], request: dict[str, Any], shape: Callable[[T], dict[str, Any]]) -> Response:
    """Answer with one page of rows, bare: without envelope and without code.

    ``request`` holds ``current`` (from 1), ``pageSize`` and ``sorter`` (``{"id": "descend"}``). ``rows`` are
    in the order of their ids.
    """
    ordered = list(rows)
    sorter = request.get("sorter")
    if isinstance(sorter, dict) and sorter.get("id") == "descend":
        ordered.reverse()
    current = max(1, body_integer(request, "current") or 1)
    size = max(1, body_integer(request, "pageSize") or 10)
    shown = ordered[(current - 1) * size : current * size]
    body = {
        "total": len(ordered),
        "success": True,
        "current": current,
        "pageSize": size,
        "data": [shape(row) for row in shown],
    }
    return Response.of(body)
