# SPDX-License-Identifier: Apache-2.0
"""Faults on demand: what networks, proxies and overloaded servers do to a request and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from .clock import Clock
from .messages import ConnectionDropped, Request, Response

FaultKind = Literal["latency", "status", "body", "redirect", "reset", "hang"]
When = Literal["before", "after"]

_PROXY_PAGE = "<html><head><title>{status}</title></head><body><h1>{status} from a proxy</h1></body></html>"
_HANG_SECONDS = 3600.0


@dataclass
class Fault:
    """A fault that requests run into.

    :param kind: ``latency`` answers ``seconds`` later; ``status`` answers ``status`` with an HTML page, as a
        proxy does; ``body`` answers ``body`` as ``content_type`` with ``status``; ``redirect`` sends the
        client to ``location``; ``reset`` resets the connection; ``hang`` never answers.
    :param path: part of the paths that it hits; all paths by default.
    :param method: the method that it hits; all by default.
    :param count: how many requests it hits; None for all from now on.
    :param when: ``before`` the server did what it was asked for (it then never does), or ``after`` it.
    """

    kind: FaultKind
    path: str = ""
    method: str | None = None
    count: int | None = 1
    when: When = "before"
    seconds: float = 1.0
    status: int | None = None
    body: str = ""
    content_type: str = "text/html"
    location: str = "/"
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind is {self.kind!r}, must be one of {', '.join(get_args(FaultKind))}")
        if self.when not in get_args(When):
            raise ValueError(f"when is {self.when!r}, must be 'before' or 'after'")

    def matches(self, request: Request) -> bool:
        """Whether the request runs into this fault."""
        return (
            (self.count is None or self.hits < self.count)
            and self.path in request.path
            and self.method in (None, request.method)
        )

    async def answer(self, clock: Clock) -> Response:
        """Return the answer that comes instead of the server's. Raises ConnectionDropped for none."""
        if self.kind == "hang":
            await clock.sleep(_HANG_SECONDS)
        if self.kind in ("hang", "reset"):
            raise ConnectionDropped
        if self.kind == "redirect":
            return Response(self.status or 302, "", "text/plain", {"Location": self.location})
        if self.kind == "body":
            return Response(self.status or 200, self.body, self.content_type)
        status = self.status or 502
        return Response(status, _PROXY_PAGE.format(status=status), "text/html")


class Faults:
    """The faults that are set. A request runs into the first that matches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Set a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults that are set, with how many requests each has hit."""
        return [
            {"kind": one.kind, "path": one.path, "count": one.count, "hits": one.hits} for one in self._faults
        ]

    async def serve(self, request: Request, act: Callable[[], Awaitable[Response]]) -> Response:
        """Answer a request with ``act``, unless a fault says otherwise."""
        fault = next((fault for fault in self._faults if fault.matches(request)), None)
        if fault is None:
            return await act()
        fault.hits += 1
        if fault.kind == "latency":
            await self._clock.sleep(fault.seconds)
            return await act()
        if fault.when == "after":
            await act()
        return await fault.answer(self._clock)
