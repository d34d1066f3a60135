# SPDX-License-Identifier: Apache-2.0
"""A request and a response as plain data, so that the sandbox works with and without sockets."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """What a client sent. ``headers`` by lower-case name; ``body`` is text as it came."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        token: str | None = None,
        token_name: str = "token",
    ) -> Request:
        """Build a request as a client would: ``json`` as body, ``token`` as a signed-in client sends it."""
        return cls(
            method=method,
            path=path,
            query={name: str(value) for name, value in (query or {}).items()},
            body="" if json is None else jsonlib.dumps(json),
            headers={} if json is None else {"content-type": "application/json"},
            cookies={} if token is None else {token_name: token, "tenantId": "1"},
        )

    @property
    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Response:
    """What the server answers."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Answer with ``body`` as JSON."""
        return cls(status, jsonlib.dumps(body, ensure_ascii=False), headers=headers or {})

    @property
    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return jsonlib.loads(self.body)


class ConnectionDropped(Exception):
    """There is no answer: the connection is reset (or was never accepted)."""
