# SPDX-License-Identifier: Apache-2.0
"""The sandbox on a socket: turns HTTP into requests for the core and its responses back into HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from aiohttp import web

from .core import SandboxCore
from .messages import ConnectionDropped, Request, Response

_REBIND_TRIES = 50


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises OSError, e.g. where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError):
        listening.close()
        raise
    return listening


class Server:
    """Serves a core on a socket, closing it while the core is down."""

    def __init__(self, core: SandboxCore, listening: socket.socket) -> None:
        self._core = core
        self._host, self._port = listening.getsockname()[:2]
        self._listening: socket.socket | None = listening
        self._runner: web.ServerRunner | None = None
        core.on_down, core.on_up = self.stop, self.start

    async def start(self) -> None:
        """Begin to serve."""
        listening = self._listening or await self._listen_again()
        self._listening = None
        self._runner = web.ServerRunner(
            web.Server(self._serve, access_log=None), handle_signals=False, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _listen_again(self) -> socket.socket:
        for _ in range(_REBIND_TRIES):
            with contextlib.suppress(OSError):
                return listen(self._host, self._port)
            await asyncio.sleep(0.02)
        return listen(self._host, self._port)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Request(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=await request.text(),
            headers={name.lower(): value for name, value in request.headers.items()},
            cookies=dict(request.cookies),
        )
        try:
            return _to_http(await self._core.handle(asked))
        except ConnectionDropped:
            _reset(request)
            return web.Response(status=502)


def _to_http(response: Response) -> web.Response:
    return web.Response(
        status=response.status,
        text=response.body,
        content_type=response.content_type,
        charset="utf-8" if response.content_type.startswith("text/") else None,
        headers=dict(response.headers),
    )


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Lingering for 0 seconds makes the kernel send a reset instead of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
