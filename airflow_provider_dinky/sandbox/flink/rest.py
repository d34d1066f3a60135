# SPDX-License-Identifier: Apache-2.0
"""Flink's REST API, as far as the engine needs it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from airflow_provider_dinky.sandbox.engine import EngineUnreachable, JobNotFound, RestAnswer

_SECONDS = 10.0
_NO_LEADER = 503


class FlinkRest:
    """A job manager's REST API at ``host:port``.

    A connection a request: the job manager may be killed and come back between any two. Every call raises
    :class:`~..engine.EngineUnreachable` while nothing answers.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> RestAnswer:
        """Send a request and return the answer, whatever its status."""
        return await asyncio.to_thread(self.send_blocking, method, path, query, body)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return an answer's body. Raises JobNotFound for a 404, :class:`FlinkRefused` for other errors."""
        return _body(path, await self.send(method, path, None, body))

    def ask_blocking(self, path: str) -> Any:
        """Return what ``GET path`` answers, as :meth:`ask` does, blocking the thread."""
        return _body(path, self.send_blocking("GET", path))

    def send_blocking(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> RestAnswer:
        """Do what :meth:`send` does, blocking the thread."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            connection.request(
                method,
                target,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            status, text = response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnreachable(self.address) from error
        finally:
            connection.close()
        if status == _NO_LEADER:
            raise EngineUnreachable(f"{self.address} has no job manager that leads")
        return RestAnswer(status, _parsed(text))


class FlinkRefused(Exception):
    """Flink answered with an error; ``trace`` is what it says, often a Java stack trace."""

    def __init__(self, status: int, trace: str) -> None:
        super().__init__(f"HTTP {status}: {trace.splitlines()[0] if trace else ''}")
        self.status = status
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.trace)


def _body(path: str, answer: RestAnswer) -> Any:
    if answer.status < 400:
        return answer.body
    errors = answer.body.get("errors", []) if isinstance(answer.body, dict) else [str(answer.body)]
    if answer.status == 404:
        raise JobNotFound(path.split("/")[2] if path.startswith("/jobs/") else path)
    raise FlinkRefused(answer.status, "\n".join(map(str, errors)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
