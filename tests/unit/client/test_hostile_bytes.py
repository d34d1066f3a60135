# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes a server sends, what comes of it is a result or a DinkyError: 2,000 mutations over real sockets."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.client import calls, flink, http_limits
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.session import Session
from tests.clients import Blocking, OnLoop
from tests.servers import LOCALHOST, Action, Request, TinyServer

MUTATIONS = 2_000
SEED = 20_261_127
INSTANCE = {
    "id": 7,
    "jid": "a1",
    "status": "RUNNING",
    "taskId": 3,
    "error": None,
    "finishTime": "2026-01-01 00:00:00",
}
LOGIN = {"tokenInfo": {"tokenName": "dinky-token", "tokenValue": None}}
SUBMITTED = {
    "id": 1,
    "jobInstanceId": 7,
    "jobId": "a1",
    "success": True,
    "jobConfig": {"savePointPath": "s3://a"},
}

HOSTILE_HEADERS = [
    b"Set-Cookie: a=b\x01c; Path=/",
    b"Set-Cookie: dinky-token=t\x7f\x00; Path=/",
    b"Set-Cookie: \xff\xfe=;;;==",
    b"Set-Cookie: dinky-token=t1; Expires=\xed\xa0\x80",
    b"Content-Encoding: br",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate, gzip",
    b"Content-Length: -7",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: 0x10",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Location: http://[::1",
    b"Location: \x00",
    b"Location: //\xff/",
    b"Location: /again",
    b"Content-Type: application/json; charset=no-such-charset",
    b"Content-Type: \x00",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Keep-Alive: timeout=-1",
    b"no colon at all",
    b" continued",
    b": no name",
    b"X" * 70_000 + b": long",
    b"X: " + b"y" * 70_000,
]
STATUSES = [
    b"200 OK",
    b"204 No Content",
    b"301 M",
    b"302 F",
    b"304 N",
    b"400 B",
    b"401 U",
    b"404 N",
    b"407 P",
    b"500 I",
]
ODD_STATUSES = [
    b"",
    b"099 X",
    b"1000 X",
    b"-1 X",
    b"abc",
    b"200" + b"\xff" * 9,
    b"101 Switching",
    b"103 Hints",
    b"999 X",
]
ODD_JSON: list[Any] = [
    None, True, 0, -1, 10**400, 1e308, "", "x" * 3_000, "a\0b", "\ud800", [], [[[]]], {}, {"code": {}}, {"a": None},
]  # fmt: skip


def mutated_json(chance: random.Random, data: Any) -> Any:
    """JSON with something odd somewhere inside."""
    if isinstance(data, dict) and data and chance.random() < 0.8:
        name = chance.choice(list(data))
        return {**data, name: mutated_json(chance, data[name])}
    if isinstance(data, list) and data and chance.random() < 0.8:
        return [mutated_json(chance, data[0]), *data[1:]]
    return chance.choice(ODD_JSON)


def mutated_bytes(chance: random.Random, data: bytes) -> bytes:
    """Bytes of which some are others, gone, or there twice."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        how = chance.randrange(3)
        if how == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            del changed[at : at + chance.randint(1, 20)]
        else:
            changed[at:at] = changed[at : at + chance.randint(1, 20)]
    return bytes(changed)


def packed(chance: random.Random, body: bytes) -> tuple[bytes, bytes]:
    """A packed body, and its encoding; now and then a bomb, or not what it says."""
    how = chance.randrange(5)
    if how == 0:
        return gzip.compress(b" " * 400_000 + body), b"gzip"
    if how == 1:
        return zlib.compress(body), b"deflate"
    if how == 2:
        return gzip.compress(body)[: chance.randint(1, 40)], b"gzip"
    if how == 3:
        return mutated_bytes(chance, gzip.compress(body)), b"gzip"
    return gzip.compress(body) * 2, chance.choice([b"gzip", b"x-gzip", b"deflate"])


def chunks(chance: random.Random, body: bytes) -> bytes:
    """A body in chunks, some of which are not as long as they say."""
    parts = []
    while body:
        size = chance.randint(1, max(len(body), 1))
        told = b"%x" % (size if chance.random() < 0.8 else chance.choice([0, size + 5, 2**40]))
        parts.append(told + chance.choice([b"", b";a=b", b" "]) + b"\r\n" + body[:size] + b"\r\n")
        body = body[size:]
    return b"".join(parts) + chance.choice([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"zz\r\n"])


def answer(chance: random.Random, data: Any, *, enveloped: bool, cookie: bool) -> bytes:
    """A whole answer with at least one thing wrong about it."""
    whole = {"data": data, "code": 0, "msg": "Successfully", "success": True} if enveloped else data
    wrong = {
        chance.choice(["status", "header", "json", "body", "pack", "chunk", "raw", "cut"]) for _ in range(2)
    }
    body = json.dumps(mutated_json(chance, whole) if "json" in wrong else whole).encode(
        "utf-8", "surrogatepass"
    )
    headers = [b"Content-Type: application/json"]
    if cookie:
        headers.append(b"Set-Cookie: dinky-token=t1; Path=/")
    status = b"200 OK"
    if "status" in wrong:
        status = chance.choice(STATUSES + ODD_STATUSES)
    if "body" in wrong:
        body = mutated_bytes(chance, body)
    if "pack" in wrong:
        body, encoding = packed(chance, body)
        headers.append(b"Content-Encoding: " + encoding)
    if "chunk" in wrong:
        headers.append(b"Transfer-Encoding: chunked")
        body = chunks(chance, body)
    else:
        headers.append(b"Content-Length: %d" % len(body))
    if "header" in wrong:
        headers.insert(chance.randrange(len(headers)), chance.choice(HOSTILE_HEADERS))
    sent = b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])
    if "raw" in wrong:
        sent = mutated_bytes(chance, sent)
    return sent[: chance.randrange(len(sent))] if "cut" in wrong else sent


def send(client: Blocking | OnLoop, call: ApiCall[Any]) -> None:
    try:
        client.send(call)
    except DinkyError as error:
        text = str(error)
        assert text
        assert "\0" not in text
        text.encode()


# Python's own HTTP library leaves a closed socket behind an answer that it has given up on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [Blocking, OnLoop], ids=["blocking", "async"])
def test_every_outcome_is_a_result_or_a_dinky_error(
    kind: Callable[..., Blocking | OnLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_limits, "MAX_ANSWER_BYTES", 300_000)
    chance = random.Random(SEED)
    next_answer = b""

    def respond(request: Request) -> Action:
        return lambda connection: connection.sendall(next_answer)

    with TinyServer(respond) as server:
        exceptions = flink.job_exceptions(f"{LOCALHOST}:{server.port}", "a1")
        asked: list[tuple[ApiCall[Any], Any, bool]] = [
            (calls.version(), "1.1.0", True),
            (calls.get_job_instance(7), INSTANCE, True),
            (calls.get_latest_job_instance(3), INSTANCE, True),
            (calls.list_job_instances([7]), {"total": 1, "data": [INSTANCE]}, False),
            (calls.list_history(3), {"total": 1, "data": [{"id": 1, "taskId": 3}]}, False),
            (calls.list_savepoints(3), [{"id": 1, "path": "s3://a", "taskId": 3}], True),
            (calls.get_job_info_detail(7), {"id": 7, "instance": INSTANCE}, True),
            (calls.submit_task(3), SUBMITTED, True),
            (calls.trigger_savepoint(3, via_api=True), {"jobInfos": [{"savePoint": "s3://a"}]}, True),
            (exceptions, {"root-exception": "a.E: x"}, False),
        ]
        config = DinkyConfig(server.url, token="t1", connect_timeout=2, read_timeout=2, submit_timeout=2)
        client = kind(config)
        signing_in = kind(
            DinkyConfig(server.url, username="ann", password="secret", connect_timeout=2, read_timeout=2),
            session=(session := Session()),
        )
        for n in range(MUTATIONS):
            call, data, enveloped = asked[n % len(asked)]
            if n % 8:
                next_answer = answer(chance, data, enveloped=enveloped, cookie=n % 3 == 0)
                send(client, call)
            else:
                session.token = None
                next_answer = answer(chance, LOGIN, enveloped=True, cookie=True)
                send(signing_in, calls.get_task(3))
        client.close()
        signing_in.close()
