# SPDX-License-Identifier: Apache-2.0
"""How a recorded exchange is read by our clients, and whether they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyError, DinkyRefusedError
from airflow_provider_dinky.client.status import JobStatus
from tests.clients import AnyClient
from tests.contract.recorded import Exchange, exchanges
from tests.servers import Reply, Request, TinyServer

TOKEN = "a-token-issued-in-the-ui"
BY_PASSWORD = {"token": None, "username": "admin", "password": "dinky123!@#"}
# Dinky's defaults, which we always send; in its browser code it says more.
FLAGS = {"withSavePoint": "false", "forceCancel": "true"}
# Dinky's epoch, as which it writes "not yet" down, in either of its two time zones.
_NO_TIME = ("1969", "1970")


@dataclass(frozen=True)
class Reading:
    """What an exchange is to us.

    :param call: the call that makes the request; a function of the exchange where no call of ours does.
    :param facts: what the result says, by attribute.
    :param but: what our request has otherwise than the recorded one; None for a parameter that it leaves out.
    :param error: the kind of error it ends in instead, with ``code``, and a text that holds ``says``.
    :param config: how the connection differs from one with an issued token.
    """

    call: ApiCall[Any] | Callable[[Exchange], ApiCall[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    but: Mapping[str, Any] = field(default_factory=dict)
    error: type[DinkyError] | None = None
    says: str = ""
    code: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def gives(
    call: ApiCall[Any] | Callable[[Exchange], ApiCall[Any]],
    *,
    but: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Reading:
    return Reading(call, facts, but or {}, config=config or {})


def refused(
    call: ApiCall[Any] | Callable[[Exchange], ApiCall[Any]],
    says: str,
    code: int | None = 1,
    *,
    error: type[DinkyError] = DinkyRefusedError,
    but: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Reading:
    return Reading(call, {}, but or {}, error, says, code, config or {})


def by_hand(recorded: Exchange) -> ApiCall[Any]:
    """A call that repeats the recorded request, for requests that none of our calls makes."""
    return ApiCall(
        "hand-made request",
        recorded.method,  # type: ignore[arg-type]
        urlsplit(recorded.path).path,
        lambda answer: answer.data,
        params=_as_query(recorded.params),
        json=recorded.json,
    )


def bare_by_hand(recorded: Exchange) -> ApiCall[Any]:
    """The same for an answer without an envelope."""
    return replace(by_hand(recorded), bare=True)


def status_of(recorded: Exchange) -> ApiCall[Any]:
    return replace(by_hand(recorded), what="look at who is signed in")


def started(job_instance_id: int, job_id: str, savepoint_path: str | None = None) -> dict[str, Any]:
    return {
        "job_instance_id": job_instance_id,
        "job_id": job_id,
        "job_manager_address": "127.0.0.1:8081",
        "savepoint_path": savepoint_path,
        "success": True,
        "is_plain_sql": False,
    }


def run(status: JobStatus, finish_time: str | None = None, **facts: Any) -> dict[str, Any]:
    return {"status": status, "finish_time": finish_time, "error": None, **facts}


def check(recorded: Exchange, reading: Reading, connect: Callable[..., AnyClient]) -> None:
    """Replay an exchange through a client: what it sends, what it reads, and that nothing is lost."""
    call = reading.call if isinstance(reading.call, ApiCall) else reading.call(recorded)
    with TinyServer(_as_recorded(recorded)) as server:
        client = connect(DinkyConfig(server.url, **{"token": TOKEN, **reading.config}))
        if reading.error is None:
            result = client.send(call)
            assert _facts(result, reading.facts) == reading.facts
            # The list by ids is for the states of thousands, and keeps nothing else.
            if urlsplit(recorded.path).path == call.path and recorded.name != "list_instances_by_ids":
                is_whole = isinstance(result, dict) and "data" in result
                data = recorded.body if is_whole else _data(recorded, call)
                if recorded.name == "list_instances_by_task":
                    data = sorted(data, key=lambda row: int(row["id"]), reverse=True)
                assert list(_lost(data, _plain(result))) == []
        else:
            with pytest.raises(reading.error) as caught:
                client.send(call)
            assert reading.says in str(caught.value), str(caught.value)
            assert getattr(caught.value, "code", None) == reading.code
    _assert_sent(server.received, recorded, reading)


def _trimmed(recorded: Exchange, name: str) -> Exchange:
    """The exchange called ``name`` of the same version of Dinky, or of any."""
    found = [one for one in exchanges(full=False) if one.name == name]
    line = recorded.source.rpartition("-1.")[2]
    return next((one for one in found if one.source.endswith(f"-1.{line}")), found[0])


def _as_recorded(recorded: Exchange) -> Callable[[Request], Reply]:
    """Answers the recorded request as recorded, and the requests that our clients send before it."""
    before = {
        "/api/login": _trimmed(recorded, "login_ok"),
        "/api/chooseTenant": _trimmed(recorded, "choose_tenant"),
        "/api/tokenInfo": _trimmed(recorded, "token_info"),
        "/openapi/getJobInstanceByTaskId": _trimmed(recorded, "by_task_never_submitted"),
    }

    def respond(request: Request) -> Reply:
        answer = recorded if request.path == urlsplit(recorded.path).path else before[request.path]
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, ensure_ascii=False)
        headers = {"Content-Type": "application/json"}
        if answer.path == "/api/login" and answer.body["code"] == 0:
            headers["Set-Cookie"] = answer.set_cookie or "token=of-this-sign-in; Max-Age=36000; Path=/"
        return Reply(body.encode(), answer.status, headers)

    return respond


def _assert_sent(received: list[Request], recorded: Exchange, reading: Reading) -> None:
    (sent,) = (request for request in received if request.path == urlsplit(recorded.path).path)
    assert sent.method == recorded.method
    params = _as_query(recorded.params)
    if recorded.json is None:
        assert sent.query == {k: v for k, v in {**params, **reading.but}.items() if v is not None}
        assert sent.body == b""
        return
    assert sent.query == params
    assert sent.json == {**recorded.json, **reading.but}
    assert sent.headers["content-type"].startswith("application/json")


def _as_query(params: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in (params or {}).items()}


def _data(recorded: Exchange, call: ApiCall[Any]) -> Any:
    body = recorded.body
    if not isinstance(body, dict) or "data" not in body:
        return body
    return body["msg"] if call.path == "/openapi/exportSql" else body["data"]


def _plain(result: Any) -> Any:
    """A result as JSON, under Dinky's own names."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True)
    if isinstance(result, tuple):
        return [_plain(item) for item in result]
    if isinstance(result, dict) and all(isinstance(value, BaseModel) for value in result.values()):
        return [_plain(item) for item in result.values()]
    return result


def _lost(recorded: Any, kept: Any, where: str = "") -> Iterator[str]:
    """What is recorded and not kept, or kept otherwise."""
    if isinstance(recorded, dict) and isinstance(kept, dict):
        for name, value in recorded.items():
            if name not in kept:
                yield f"{where}.{name} is lost"
            else:
                yield from _lost(value, kept[name], f"{where}.{name}")
    elif isinstance(recorded, list) and isinstance(kept, list):
        if len(recorded) != len(kept):
            yield f"{where} has {len(kept)} of {len(recorded)} items"
        for number, pair in enumerate(zip(recorded, kept, strict=False)):
            yield from _lost(*pair, f"{where}[{number}]")
    elif recorded != kept and not _as_good(recorded, kept, where):
        yield f"{where} is {kept!r} instead of {recorded!r}"


def _as_good(recorded: Any, kept: Any, where: str) -> bool:
    no_time_yet = kept is None and where.endswith(".finishTime") and recorded[:4] in _NO_TIME
    # A cancel that worked is answered with true, or with nothing if signed in.
    return no_time_yet or (where == "" and recorded is None and kept is True)


def _facts(result: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _at(result, name) for name in wanted}


def _at(result: Any, name: str) -> Any:
    for step in name.split("."):
        result = result[int(step)] if step.isdigit() else getattr(result, step)
    return result
