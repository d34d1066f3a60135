# SPDX-License-Identifier: Apache-2.0
"""Two HTTP libraries with different limits and habits: both clients say the same of the same odd answer."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyError
from tests.clients import Blocking, OnLoop
from tests.servers import LOCALHOST, Action, Request, TinyServer, envelope, free_port

BODY = json.dumps({"code": 0, "data": "1.1.0", "msg": "", "success": True}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
SUBMITTED = json.dumps({"code": 0, "data": {"jobInstanceId": 7, "success": True}}).encode()


def plain(*headers: bytes, status: bytes = b"HTTP/1.1 200 OK", body: bytes = BODY) -> bytes:
    return b"\r\n".join([status, *headers, b"Content-Length: %d" % len(body), b"", body])


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + headers + b"\r\n" + b"".join(chunks) + end


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    return (size or b"%x" % len(data)) + b"\r\n" + data + b"\r\n"


def packed(data: bytes, encoding: bytes) -> bytes:
    return plain(b"Content-Encoding: " + encoding, body=data)


DEFLATE = zlib.compressobj(wbits=-15)
BARE = DEFLATE.compress(BODY) + DEFLATE.flush()

# What a server sends, and what comes of a read: the version, or the kind of error.
ODD: dict[str, tuple[bytes, str]] = {
    "plain": (plain(), "1.1.0"),
    "no length, closed": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "1.1.0"),
    "HTTP/1.0": (plain(status=b"HTTP/1.0 200 OK"), "1.1.0"),
    "no reason phrase": (plain(status=b"HTTP/1.1 200"), "1.1.0"),
    "100 Continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + plain(), "1.1.0"),
    "header of 9,000 bytes": (plain(b"X: " + b"a" * 9_000), "1.1.0"),
    "header of 60,000 bytes": (plain(b"X: " + b"a" * 60_000), "1.1.0"),
    "header of 70,000 bytes": (plain(b"X: " + b"a" * 70_000), "DinkyConnectionError"),
    "status line of 70,000 bytes": (plain(status=b"HTTP/1.1 200 " + b"a" * 70_000), "DinkyConnectionError"),
    "90 headers": (plain(*[b"X-%d: a" % n for n in range(90)]), "1.1.0"),
    "120 headers": (plain(*[b"X-%d: a" % n for n in range(120)]), "DinkyConnectionError"),
    "1,000 headers": (plain(*[b"X-%d: a" % n for n in range(1_000)]), "DinkyConnectionError"),
    "cookie with a control character": (plain(b"Set-Cookie: a=b\x01c; Path=/"), "1.1.0"),
    "cookie that is none": (plain(b"Set-Cookie: ;;==;"), "1.1.0"),
    "cookie without a name": (plain(b"Set-Cookie: =x"), "1.1.0"),
    "cookie with an unknown attribute": (plain(b'Set-Cookie: a="b; c[]{}=1; Expires=never'), "1.1.0"),
    "100 cookies": (plain(*[b"Set-Cookie: a%d=b" % n for n in range(90)]), "1.1.0"),
    "header in Latin-1": (plain(b"X: \xe9\xff"), "1.1.0"),
    "header without a value": (plain(b"X:"), "1.1.0"),
    "blanks around a value": (plain(b"X: \t a \t"), "1.1.0"),
    "tab in a header": (plain(b"X: a\tb"), "1.1.0"),
    "length twice, the same": (plain(LENGTH.strip()), "DinkyConnectionError"),
    "length twice, not the same": (plain(b"Content-Length: 3"), "DinkyConnectionError"),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BODY, "DinkyConnectionError"),
    "length that is no number": (
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + BODY,
        "DinkyConnectionError",
    ),
    "too short": (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + BODY, "DinkyConnectionError"),
    "length and chunks": (chunked(chunk(BODY), headers=LENGTH), "DinkyConnectionError"),
    "chunks": (chunked(chunk(BODY[:9]), chunk(BODY[9:])), "1.1.0"),
    "chunks with extensions": (chunked(chunk(BODY, b"%x;a=b" % len(BODY))), "1.1.0"),
    "chunks with a trailer": (chunked(chunk(BODY), end=b"0\r\nX: a\r\n\r\n"), "1.1.0"),
    "chunks without an end": (chunked(chunk(BODY), end=b""), "DinkyConnectionError"),
    "chunk that is too short": (chunked(chunk(BODY, b"fff"), end=b""), "DinkyConnectionError"),
    "chunk of no size": (chunked(chunk(BODY, b"zz")), "DinkyConnectionError"),
    "negative chunk": (chunked(chunk(BODY, b"-5")), "DinkyConnectionError"),
    "gzip": (packed(gzip.compress(BODY), b"gzip"), "1.1.0"),
    "x-gzip": (packed(gzip.compress(BODY), b"x-gzip"), "1.1.0"),
    "gzip in capitals": (packed(gzip.compress(BODY), b"GZIP"), "1.1.0"),
    "gzip in two members": (packed(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), b"gzip"), "1.1.0"),
    "gzip that ends early": (packed(gzip.compress(BODY)[:-9], b"gzip"), "DinkyResponseError"),
    "gzip that is none": (packed(BODY, b"gzip"), "DinkyResponseError"),
    "gzip with a wrong sum": (packed(gzip.compress(BODY)[:-8] + b"x" * 8, b"gzip"), "DinkyResponseError"),
    "gzip of nothing": (packed(b"", b"gzip"), "DinkyResponseError"),
    "deflate": (packed(zlib.compress(BODY), b"deflate"), "1.1.0"),
    "bare deflate": (packed(BARE, b"deflate"), "1.1.0"),
    "identity": (packed(BODY, b"identity"), "1.1.0"),
    "br": (packed(BODY, b"br"), "DinkyResponseError"),
    "zstd": (packed(BODY, b"zstd"), "DinkyResponseError"),
    "gzip twice": (packed(gzip.compress(gzip.compress(BODY)), b"gzip, gzip"), "DinkyResponseError"),
    "unknown encoding": (packed(BODY, b"rot13"), "DinkyResponseError"),
    "gzip bomb": (packed(gzip.compress(b" " * 70_000_000, 1), b"gzip"), "DinkyResponseError"),
    "nothing at all": (b"", "DinkyConnectionError"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "DinkyConnectionError"),
    "status that is no number": (plain(status=b"HTTP/1.1 abc OK"), "DinkyConnectionError"),
    "status 99": (plain(status=b"HTTP/1.1 99 OK"), "DinkyConnectionError"),
    "status 999": (plain(status=b"HTTP/1.1 999 OK"), "DinkyConnectionError"),
    "status 204": (plain(status=b"HTTP/1.1 204 No Content", body=b""), "DinkyResponseError"),
    "status 304": (plain(status=b"HTTP/1.1 304 Not Modified", body=b""), "DinkyResponseError"),
    "HTTP/2.0": (plain(status=b"HTTP/2.0 200 OK"), "DinkyConnectionError"),
    "HTTP/0.9": (BODY, "DinkyConnectionError"),
    "redirect to nowhere": (plain(b"Location: http://[", status=b"HTTP/1.1 302 Found"), "DinkyResponseError"),
    "redirect without a place": (plain(status=b"HTTP/1.1 302 Found"), "1.1.0"),
    "body with a byte order mark": (plain(body=b"\xef\xbb\xbf" + BODY), "1.1.0"),
    "body in UTF-16": (plain(body=BODY.decode().encode("utf-16")), "1.1.0"),
    "body that is no UTF-8": (plain(body=BODY.replace(b"1.1.0", b"\xff")), "DinkyResponseError"),
    "body with NUL": (plain(body=BODY.replace(b"1.1.0", b"1.1.0\\u0000")), "1.1.0\N{REPLACEMENT CHARACTER}"),
}


def sends(answer: bytes) -> Callable[[Request], Action]:
    return lambda request: lambda connection: connection.sendall(answer)


def verdict(client: Blocking | OnLoop, call: calls.ApiCall[Any]) -> tuple[str, bool]:
    try:
        return str(client.send(call)), False
    except DinkyError as error:
        return type(error).__name__, error.outcome_unknown
    finally:
        client.close()


def verdicts(answer: bytes, call: calls.ApiCall[Any]) -> list[tuple[str, bool]]:
    with TinyServer(sends(answer)) as server:
        config = DinkyConfig(server.url, read_timeout=10, submit_timeout=10)
        return [verdict(kind(config), call) for kind in (Blocking, OnLoop)]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_means_the_same_to_both(name: str) -> None:
    answer, expected = ODD[name]
    blocking, on_loop = verdicts(answer, calls.version())
    assert blocking == on_loop
    assert blocking[0] == expected


@pytest.mark.parametrize(
    "name", [name for name, (_, expected) in ODD.items() if expected.startswith("Dinky")]
)
def test_an_odd_answer_to_a_submit_leaves_its_outcome_open_for_both(name: str) -> None:
    answer = ODD[name][0].replace(BODY, SUBMITTED)
    assert [is_open for _, is_open in verdicts(answer, calls.submit_task(7))] == [True, True]


# Proxies


@pytest.mark.parametrize("kind", [Blocking, OnLoop], ids=["blocking", "async"])
@pytest.mark.parametrize(
    ("no_proxy", "goes_by_proxy"),
    [
        ("", True),
        ("10.0.0.0/8", True),
        ("127.0.0.0/8", False),
        ("127.0.0.1/32,example.com", False),
        (LOCALHOST, False),
        ("example.com", True),
        ("*", False),
    ],
)
def test_no_proxy_by_the_rules_of_requests(
    kind: Any, no_proxy: str, goes_by_proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", no_proxy)
    with (
        TinyServer(lambda request: envelope("by proxy")) as proxy,
        TinyServer(lambda request: envelope("direct")) as server,
    ):
        monkeypatch.setenv("http_proxy", proxy.url)
        said, _ = verdict(kind(DinkyConfig(server.url)), calls.version())
    assert said == ("by proxy" if goes_by_proxy else "direct")


@pytest.mark.parametrize("kind", [Blocking, OnLoop], ids=["blocking", "async"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "ftp"])
@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_a_socks_proxy_is_refused_by_name(
    kind: Any, scheme: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"{scheme}://ann:hunter22@proxy.example.com:1080")
    client = kind(DinkyConfig("http://dinky.invalid:8888", name="c1"))
    with pytest.raises(DinkyConfigError) as caught:
        client.send(calls.submit_task(7))
    client.close()
    assert f"the environment names proxy {scheme}://ann:***@proxy.example.com:1080" in str(caught.value)
    assert not caught.value.outcome_unknown


# What an outage is called


@pytest.mark.parametrize("kind", [Blocking, OnLoop], ids=["blocking", "async"])
def test_an_outage_says_its_reason_first_and_shows_no_headers(kind: Any) -> None:
    config = DinkyConfig(f"http://{LOCALHOST}:{free_port()}", name="c1", token="hunter22")
    client = kind(config)
    with pytest.raises(DinkyError) as caught:
        client.send(calls.get_task(7))
    client.close()
    what = f"connection 'c1' ({config.base_url}): look-up of Dinky task 7: "
    assert str(caught.value) == f"{what}cannot connect: Connection refused; check host, port and scheme"


@pytest.mark.parametrize("kind", [Blocking, OnLoop], ids=["blocking", "async"])
@pytest.mark.parametrize("name", [name for name, (_, told) in ODD.items() if told == "DinkyConnectionError"])
def test_no_error_is_a_dump_of_headers(kind: Any, name: str) -> None:
    with TinyServer(sends(ODD[name][0])) as server:
        client = kind(DinkyConfig(server.url, token="hunter22", name="c1"))
        with pytest.raises(DinkyError) as caught:
            client.send(calls.get_task(7))
        client.close()
    text = str(caught.value)
    assert len(text) < 400
    assert not any(word in text.lower() for word in ("cookie", "accept", "request_info", "object at 0x"))
