# SPDX-License-Identifier: Apache-2.0
"""One table of limits and habits for the two HTTP libraries, so that they say the same of the same answer. Pure.

==============================  =====================================================
an answer                       limit
==============================  =====================================================
line of a header                65,536 bytes, as Python's own ``http.client``
headers                         100, as there
body, unpacked                  64 MiB
``Content-Encoding``            none, ``gzip`` and ``deflate``; unpacked here, not in the libraries
cookies                         only those of a sign-in, read here
proxies                         http and https, by the rules of ``requests``
==============================  =====================================================
"""

from __future__ import annotations

import os
import re
import ssl
import zlib
from collections.abc import Iterable

MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 100
MAX_ANSWER_BYTES = 64 * 1024 * 1024
ACCEPT_ENCODING = "gzip, deflate"
_PIECE = 1 << 20
_SET_COOKIE = re.compile(r"\s*([^=;\s]+)\s*=\s*\"?([^;\"]*)\"?\s*(?:;|$)")


class AnswerTooLarge(Exception):
    """The body is larger than the limit."""


class AnswerUnreadable(Exception):
    """The answer is no HTTP as it is read here; the message says what is wrong."""


class HeadUnreadable(AnswerUnreadable):
    """Where the body begins and ends cannot be told: the connection is as good as lost."""


def check_head(version: tuple[int, int], headers: Iterable[tuple[str, str]]) -> None:
    """What one of the libraries lets pass, and the other does not.

    :param version: of HTTP, as the server says.
    :param headers: name and value of each.
    :raises HeadUnreadable: naming what is wrong.
    """
    if version not in ((1, 0), (1, 1)):
        raise HeadUnreadable(f"HTTP version {version[0]}.{version[1]}")
    pairs = [(name.lower(), value) for name, value in headers]
    if len(pairs) > MAX_HEADERS:
        raise HeadUnreadable(f"more than {MAX_HEADERS} headers")
    lengths = [value.strip() for name, value in pairs if name == "content-length"]
    if lengths and any(name == "transfer-encoding" for name, _ in pairs):
        raise HeadUnreadable("Content-Length beside Transfer-Encoding")
    if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
        raise HeadUnreadable("Content-Length is twice, or is no number")


class Body:
    """The body of an answer, unpacked as it arrives.

    :param encoding: the header ``Content-Encoding``.
    :raises AnswerUnreadable: it names something that is not unpacked here.
    """

    def __init__(self, encoding: str | None) -> None:
        self._how = (encoding or "").strip().lower()
        if self._how not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise AnswerUnreadable(f"Content-Encoding {self._how[:40]!r}, which was not asked for")
        self._plain = bytearray()
        self._unpacker = None if self._how in ("", "identity") else self._new_unpacker()
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        """Take what has arrived next.

        :raises AnswerTooLarge: the body is over the limit, packed or unpacked.
        :raises AnswerUnreadable: it cannot be unpacked.
        """
        if self._unpacker is None:
            self._take(chunk)
            return
        while chunk:
            chunk = self._unpack(self._unpacker, chunk)

    def whole(self) -> bytes:
        """The whole body.

        :raises AnswerUnreadable: it ends in the middle.
        """
        if self._unpacker is not None and self._begun and not self._unpacker.eof:
            self._take(self._unpacker.flush())
        if self._unpacker is not None and self._begun and not self._unpacker.eof:
            raise AnswerUnreadable(f"the {self._how} body ends in the middle")
        return bytes(self._plain)

    def _unpack(self, unpacker: zlib._Decompress, chunk: bytes) -> bytes:
        """Unpack a piece; what is left of it."""
        if unpacker.eof:  # gzip allows several members, one after the other, and padding
            if not chunk.strip(b"\0"):
                return b""
            self._unpacker = unpacker = self._new_unpacker()
        try:
            self._take(unpacker.decompress(chunk, _PIECE))
        except zlib.error as error:
            if self._how == "deflate" and not self._begun:
                # Some servers send the bare stream, without zlib's header.
                self._unpacker, self._how = zlib.decompressobj(-zlib.MAX_WBITS), "deflate, bare"
                return chunk
            raise AnswerUnreadable(f"the {self._how} body cannot be unpacked: {error}") from None
        self._begun = True
        return unpacker.unconsumed_tail or unpacker.unused_data

    def _take(self, plain: bytes) -> None:
        self._plain += plain
        if len(self._plain) > MAX_ANSWER_BYTES:
            raise AnswerTooLarge

    def _new_unpacker(self) -> zlib._Decompress:
        return zlib.decompressobj(zlib.MAX_WBITS if self._how == "deflate" else 16 + zlib.MAX_WBITS)


def cookies_in(headers: Iterable[str]) -> dict[str, str]:
    """Name and value of each ``Set-Cookie``; one that cannot be read is as none."""
    found = (_SET_COOKIE.match(header) for header in headers)
    return {cookie[1]: cookie[2].strip() for cookie in found if cookie}


def reason_of(error: BaseException) -> str:
    """What an HTTP library's error comes down to: the deepest cause in few words, without requests and headers."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        current = _inner(current)
    deepest = next((e for e in reversed(seen) if isinstance(e, OSError) and e.errno), seen[-1])
    if isinstance(deepest, OSError) and not isinstance(deepest, ssl.SSLError) and (deepest.errno or 0) > 0:
        text = os.strerror(deepest.errno or 0)
    else:
        text = getattr(deepest, "strerror", None) or _message_of(deepest)
    return " ".join(text.split()) or type(deepest).__name__


def _inner(error: BaseException) -> BaseException | None:
    candidates = (
        getattr(error, "reason", None),
        getattr(error, "os_error", None),
        getattr(error, "original_error", None),
        *error.args,
        error.__cause__,
        error.__context__,
    )
    return next((inner for inner in candidates if isinstance(inner, BaseException)), None)


def _message_of(error: BaseException) -> str:
    message = getattr(error, "message", None)  # aiohttp's own text would show the request, with its headers
    if isinstance(message, str) and message:
        status = getattr(error, "status", None)
        return f"HTTP {status} {message}" if isinstance(status, int) and status else message
    texts = [arg for arg in error.args if isinstance(arg, str)]
    return f"{type(error).__name__}: {texts[-1]}" if texts else type(error).__name__
