# SPDX-License-Identifier: Apache-2.0
"""From a call to an HTTP request, and from an HTTP reply to the call's result. Pure: no I/O here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any, NoReturn, TypeVar
from urllib.parse import urljoin, urlsplit

from airflow_provider_dinky.client import http_limits
from airflow_provider_dinky.client.address import origin_of
from airflow_provider_dinky.client.calls import Answer, ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
    FlinkJobUnknownError,
)
from airflow_provider_dinky.client.foreign_text import cleaned, may_be_unfit
from airflow_provider_dinky.client.java import gave_up_waiting, root_cause
from airflow_provider_dinky.client.remedies import remedy_for
from airflow_provider_dinky.client.trouble import gateway_refuses, message_of, unreachable, wrong_tenant

T = TypeVar("T")
MAX_REDIRECTS = 4
FLINK_PATIENCE = 3.0
"""Seconds for one question to Flink itself: it is asked beside the way, and must not hold anybody up."""
_OWN_HEADERS = {"accept": "Accept", "cookie": "Cookie"}
_NOT_SIGNED_IN = 7
_TASK_UNKNOWN = frozenset({"task not exist", "任务不存在"})
_INSTANCE_UNKNOWN = frozenset({"job instance not exist", "作业实例不存在"})


class SessionLost(DinkySignInError):
    """Dinky no longer knows the token of our sign-in (HTTP 401 or code 7); the request had no effect."""


class TenantNotSet(DinkyNotFoundError):
    """A task that exists was refused: the worker thread that served us does not know its tenant; no effect."""


@dataclass(frozen=True)
class Token:
    """What proves a sign-in, and the names under which Dinky looks for it."""

    value: str = field(repr=False)
    names: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    :param fresh: to be sent over a new connection: a kept-alive one that the server has just closed
        fails in a way that leaves open whether the request arrived.
    """

    method: str
    url: str
    params: Mapping[str, Any] | None
    json: Any
    headers: Mapping[str, str] = field(repr=False)
    connect_timeout: float
    read_timeout: float
    fresh: bool


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = field(repr=False)
    location: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def json(self) -> Any:
        """The body as JSON, fit to be stored; None if it is none. Read once, as a list of jobs may be long."""
        return _json_or_none(self.body)


def build(config: DinkyConfig, call: ApiCall[Any], token: Token | None = None) -> Request:
    """The HTTP request of a call, signed if a token is given."""
    headers = {"Accept": "application/json", "Accept-Encoding": http_limits.ACCEPT_ENCODING}
    if call.base_url is None:
        headers |= {_OWN_HEADERS.get(name.lower(), name): value for name, value in config.headers.items()}
    if token:
        cookies = [f"{name}={token.value}" for name in token.names]
        given = headers.get("Cookie")
        headers["Cookie"] = "; ".join([*cookies, f"tenantId={config.tenant_id}", *([given] if given else [])])
    timeouts = {
        "read": config.read_timeout,
        "submit": config.submit_timeout,
        "savepoint": config.savepoint_timeout,
        "flink": min(FLINK_PATIENCE, config.read_timeout),
    }
    return Request(
        method=call.method,
        url=(call.base_url or config.base_url) + call.path,
        params=call.params,
        json=call.json,
        headers=headers,
        connect_timeout=min(FLINK_PATIENCE if call.patience == "flink" else inf, config.connect_timeout),
        read_timeout=timeouts[call.patience],
        fresh=not call.repeatable,
    )


def decode(config: DinkyConfig, call: ApiCall[T], reply: Reply) -> T:
    """The call's result, or the error that says why there is none."""
    body = reply.json
    # Dinky's own errors come with HTTP 200, 400 or 401: a 5xx is a proxy's, even if its body looks alike.
    envelope = body if isinstance(body, dict) and _code(body) is not None and reply.status < 500 else None
    if is_not_signed_in(reply):
        _raise_not_signed_in(config, call, envelope)
    if envelope is None:
        _check_http(config, call, reply, body)
    if envelope is not None and not call.bare:
        return _from_envelope(config, call, envelope)
    if envelope is not None and _code(envelope) != 0:
        _raise_refused(config, call, envelope)
    if not call.bare:
        _raise_unreadable(config, call, "the answer is not Dinky's", reply.body)
    return _parse(config, call, Answer(body), lambda: reply.body)


def is_not_signed_in(reply: Reply) -> bool:
    """Whether a request was refused, before any effect, for want of a sign-in."""
    body = None if reply.status >= 500 else reply.json
    return reply.status == 401 or (isinstance(body, dict) and _code(body) == _NOT_SIGNED_IN)


def is_dinkys(reply: Reply) -> bool:
    """Whether an answer has Dinky's envelope."""
    body = reply.json
    return isinstance(body, dict) and _code(body) is not None


def said_in(config: DinkyConfig, reply: Reply) -> str:
    """The message in an answer, secrets masked."""
    return _said(config, reply.json)


def redirect_target(config: DinkyConfig, call: ApiCall[Any], url: str, reply: Reply) -> str | None:
    """Where to go on for a redirect that may be followed: of a read, to the same host. None if it is no redirect.

    :raises DinkyResponseError: for any other redirect: it could take a token, or a submit, to a stranger.
    """
    if not 300 <= reply.status < 400 or not reply.location:
        return None
    try:
        target = urljoin(url, reply.location)
        there = urlsplit(target)
        same = origin_of(url) == origin_of(target) and not there.username and not there.password
    except ValueError:
        _raise_unreadable(config, call, f"HTTP {reply.status} redirects to no address", reply.body)
    if call.repeatable and same:
        return target
    origin = config.redact(f"{there.scheme}://{there.netloc}")
    raise DinkyResponseError(
        message_of(
            config,
            call,
            f"HTTP {reply.status} redirects to {origin}, which is not followed; if Dinky is there, put "
            "that scheme, host and port into the connection",
        )
    )


def _from_envelope(config: DinkyConfig, call: ApiCall[T], envelope: dict[str, Any]) -> T:
    data = envelope.get("data")
    failed_inside = call.patience != "read" and isinstance(data, dict) and _submit_failed(data)
    if _code(envelope) != 0 or failed_inside:
        _raise_refused(config, call, envelope)

    def without_escapes() -> bytes:
        # A secret that JSON has escaped would not be found in the answer as it came, to be masked.
        return json.dumps(envelope, ensure_ascii=False).encode("utf-8", "replace")

    return _parse(config, call, Answer(data, str(envelope.get("msg") or "")), without_escapes)


def _submit_failed(data: dict[str, Any]) -> bool:
    # Dinky's restart says "Successfully" for a submit that failed inside it; only a submit's answer has
    # jobInstanceId, and a savepoint's own "success" is false even when it worked.
    return "jobInstanceId" in data and data.get("success") is False


def _raise_refused(config: DinkyConfig, call: ApiCall[Any], envelope: dict[str, Any]) -> NoReturn:
    code, data, msg = _code(envelope) or 0, envelope.get("data"), str(envelope.get("msg") or "")
    told = data.get("error") if isinstance(data, dict) else data
    trace = config.redact(told) if isinstance(told, str) else None
    said = config.redact(msg)
    reason = root_cause(trace) or root_cause(said) or "no reason given"
    kind, remedy = _kind_of_refusal(config, call, code, msg.strip().lower())
    advice = remedy_for(trace) or remedy_for(said)
    if advice and not remedy:
        remedy = f"\nWhat to do: {advice}"
    error = kind(
        message_of(config, call, f"Dinky says: {reason}{remedy}"), code=code, reason=reason, trace=trace
    )
    error.outcome_unknown = call.starts_job and (gave_up_waiting(trace) or gave_up_waiting(said))
    raise error


def _kind_of_refusal(
    config: DinkyConfig, call: ApiCall[Any], code: int, said: str
) -> tuple[type[DinkyRefusedError], str]:
    if code == 1 and said in _TASK_UNKNOWN:
        kind = DinkyNotFoundError if call.tenant_task is None else TenantNotSet
        return kind, f". Check the task's id, and that the task is in tenant {config.tenant_id}"
    if code == 1 and said in _INSTANCE_UNKNOWN:
        return DinkyNotFoundError, ". The job instance is unknown, or the task never ran as a Flink job"
    return DinkyRefusedError, ""


def _check_http(config: DinkyConfig, call: ApiCall[Any], reply: Reply, body: Any) -> None:
    if reply.status >= 500:
        why = f"HTTP {reply.status} {_quote(config, reply.body)}"
        raise unreachable(
            config, call, why, sent=True, remedy="look whether Dinky runs, and at a proxy before it"
        )
    if reply.status == 404 and _is_unknown_to_flink(call, body):
        raise FlinkJobUnknownError(message_of(config, call, "Flink does not know the job"))
    if reply.status == 404:
        raise DinkyResponseError(
            message_of(
                config,
                call,
                "HTTP 404: the address is not a Dinky 1.0 or newer; check host, port and path of the "
                f"connection. It answered: {_quote(config, reply.body)}",
            )
        )
    if not 200 <= reply.status < 300:
        _raise_unreadable(config, call, f"HTTP {reply.status}", reply.body)
    if not reply.body.strip():
        if call.needs_sign_in:
            raise wrong_tenant(config, call)
        _raise_unreadable(config, call, "the answer is empty", reply.body)
    if body is None:
        _raise_unreadable(config, call, "the answer is not JSON", reply.body)


def _is_unknown_to_flink(call: ApiCall[Any], body: Any) -> bool:
    """Whether Flink itself says so: a proxy's 404, or that of an address which is no Flink, proves nothing."""
    errors = body.get("errors") if isinstance(body, dict) else None
    if call.patience != "flink" or not isinstance(errors, list):
        return False
    job_id = call.path.partition("/jobs/")[2].partition("/")[0]
    said = " ".join(str(error) for error in errors)
    return bool(job_id) and job_id in said and ("FlinkJobNotFoundException" in said or "not found" in said)


def _raise_not_signed_in(config: DinkyConfig, call: ApiCall[Any], envelope: Any) -> NoReturn:
    said = _said(config, envelope) or "HTTP 401"
    if not call.needs_sign_in and (envelope is None or not config.has_credentials):
        raise gateway_refuses(config, call, said)
    if config.token:
        why = (
            f"Dinky does not accept the token of the connection ({said}). A token issued in Dinky's UI works "
            "only after Dinky's next restart; check that it is still listed there"
        )
        raise DinkySignInError(message_of(config, call, why))
    why = (
        f"Dinky signed us out ({said}). Every sign-in of a user pushes out the one before: give Airflow "
        "a Dinky user of its own, or a token issued in Dinky's UI"
    )
    raise SessionLost(message_of(config, call, why))


def _parse(config: DinkyConfig, call: ApiCall[T], answer: Answer, raw: Callable[[], bytes]) -> T:
    try:
        return call.parse(answer)
    except (ValueError, TypeError):
        # Not chained: pydantic's error quotes the input, which may hold secrets.
        error = _unreadable(config, call, "the answer has an unexpected shape", raw())
    raise error


def _raise_unreadable(config: DinkyConfig, call: ApiCall[Any], what: str, body: bytes) -> NoReturn:
    raise _unreadable(config, call, what, body)


def _unreadable(config: DinkyConfig, call: ApiCall[Any], what: str, body: bytes) -> DinkyResponseError:
    return DinkyResponseError(
        message_of(config, call, f"{what}; is this a Dinky, or a proxy before it? {_quote(config, body)}")
    )


def _quote(config: DinkyConfig, body: bytes) -> str:
    # Masked before it is cut: half a secret would no longer look like one.
    text = config.redact(body[:4_000].decode("utf-8", "replace"))
    return repr(" ".join(text.split())[:200])


def _said(config: DinkyConfig, envelope: Any) -> str:
    msg = envelope.get("msg") if isinstance(envelope, dict) else None
    return config.redact(str(msg)) if msg else ""


def _json_or_none(body: bytes) -> Any:
    try:
        written = body.decode(json.detect_encoding(body), "surrogatepass").removeprefix("\ufeff")
        data = json.loads(written)
        return cleaned(data) if may_be_unfit(written) else data
    except (ValueError, RecursionError):
        return None


def _code(body: Any) -> int | None:
    try:
        return int(body["code"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
