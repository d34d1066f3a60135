# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server on a real socket that a test tells, request by request, what to do to its client."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LOCALHOST = "127.0.0.1"
_REASONS = {200: "OK", 301: "Moved Permanently", 302: "Found", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names in lower case. ``connection`` counts connections from 0."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Reply:
    """An answer. With ``then_close`` the connection is closed after it, unannounced."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    then_close: bool = False

    def __bytes__(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Whatever')}"]
        sent = {"Content-Length": str(len(self.body)), **self.headers}
        lines += [f"{name}: {value}" for name, value in sent.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


Action = Callable[[socket.socket], None]
"""What a server does to a connection instead of answering; the connection is closed after it."""


def envelope(data: Any = None, code: Any = 0, msg: str = "Successfully", status: int = 200) -> Reply:
    """An answer as Dinky gives it."""
    body = {"data": data, "code": code, "msg": msg, "time": "2026-11-22 02:18:51", "success": code == 0}
    return Reply(json.dumps(body).encode(), status, {"Content-Type": "application/json"})


def page(*rows: Mapping[str, Any]) -> Reply:
    """A page of a list as Dinky gives it: without an envelope."""
    body = {"total": len(rows), "success": True, "current": 1, "pageSize": 10, "data": list(rows)}
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def bad_gateway() -> Reply:
    """What a proxy says when Dinky does not answer it."""
    return Reply(b"<html><h1>502 Bad Gateway</h1></html>", 502, {"Content-Type": "text/html"})


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_unread(connection: socket.socket) -> None:
    """Reset the connection when something has arrived, without reading it."""
    connection.recv(1, socket.MSG_PEEK)
    reset(connection)


def hang(connection: socket.socket) -> None:
    """Say nothing until the client gives up."""
    with suppress(OSError):
        while connection.recv(4096):
            pass


class TinyServer:
    """Serves on a free port, each connection in a thread of its own, until the ``with`` block ends.

    :param respond: what to do with a request: an answer, or an action such as :func:`reset`.
    :param greet: what to do with a new connection, by its number, before anything is read from it.
    :param certificate: certificate and key to speak TLS with.
    :param port: 0 for any free one.
    """

    def __init__(
        self,
        respond: Callable[[Request], Reply | Action],
        *,
        greet: Callable[[int], Action | None] = lambda number: None,
        certificate: tuple[Path, Path] | None = None,
        port: int = 0,
    ) -> None:
        self._respond, self._greet = respond, greet
        self._tls = _server_context(*certificate) if certificate else None
        self._listener = socket.create_server((LOCALHOST, port))
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._stopping = False
        self.port: int = self._listener.getsockname()[1]
        self.received: list[Request] = []
        self.accepted = 0

    def __enter__(self) -> TinyServer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        socket.create_connection((LOCALHOST, self.port)).close()
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOCALHOST}:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in their order."""
        return [request.path for request in self.received]

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping:
                connection.close()
                return
            self._connections.append(connection)
            self.accepted += 1
            self._start(self._serve, connection, self.accepted - 1)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            greeting = self._greet(number)
            if greeting is not None:
                greeting(connection)
                return
            if self._tls is None:
                self._answer(connection, number)
                return
            with self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            ) as encrypted:
                self._connections.append(encrypted)
                encrypted.do_handshake()
                self._answer(encrypted, number)

    def _answer(self, connection: socket.socket, number: int) -> None:
        while (request := _read(connection, number)) is not None:
            if not request.method:
                connection.sendall(bytes(Reply(b"", 400)))
                return
            self.received.append(request)
            answer = self._respond(request)
            if not isinstance(answer, Reply):
                answer(connection)
                return
            connection.sendall(bytes(answer))
            if answer.then_close:
                return


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server((LOCALHOST, 0)) as taken:
        return int(taken.getsockname()[1])


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for ``127.0.0.1`` that nobody vouches for, and its key, and return their paths."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dinky.example.com")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOCALHOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def _server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


_NO_HTTP = Request("", "", {}, b"", 0)


def _read(connection: socket.socket, number: int) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += (more := connection.recv(65_536))
        if not more:
            return None
        if not received[:1].isalpha():
            return _NO_HTTP
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += (more := connection.recv(65_536))
        if not more:
            return None
    return Request(method, target, headers, body, number)
