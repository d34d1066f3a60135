# SPDX-License-Identifier: Apache-2.0
"""One try of a call, step by step, for both clients: tenant look-up, sign-in, token. And the sign-ins of a process.

A step is an exchange with Dinky, or a short pause; the clients carry it out and send back the reply.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_dinky.client import calls, trouble, wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
)
from airflow_provider_dinky.client.wire import Reply, Request, SessionLost, Token

T = TypeVar("T")
TOKEN_NAMES = ("token", "dinky-token")
"""What a token is called, up to Dinky 1.1 and from 1.2. One that was issued in Dinky's UI is sent under both names."""
BUSY_PAUSE = 0.02
"""Seconds between two looks whether another thread's or task's sign-in is done."""
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]+")
_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_NO_TOKEN = frozenset({"can not read token", "未能读取到有效 token"})


@dataclass(frozen=True)
class Exchange:
    """Send a request and hand its reply back."""

    call: ApiCall[Any]
    request: Request


@dataclass(frozen=True)
class Pause:
    """Wait for so many seconds, and hand nothing back."""

    seconds: float


Steps = Generator[Exchange | Pause, Any, T]


@dataclass
class Session:
    """The sign-in of one user at one Dinky: one token for all clients of a process, never on disk.

    Each sign-in of a user pushes the one before out, so a process that signed in once for each client would work
    against itself.
    """

    token: Token | None = field(default=None, repr=False)
    _busy: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def renewed(self, config: DinkyConfig, refused: Token | None) -> Steps[Token]:
        """The steps to a token other than one that was refused: those who wait for it at once sign in once.

        :raises DinkySignInError: Dinky does not accept the user, the password or the tenant.
        """
        while not self._busy.acquire(blocking=False):
            yield Pause(BUSY_PAUSE)
        try:
            token = self.token
            if token is None or token == refused:
                self.token = None
                self.token = token = yield from _sign_in(config)
            return token
        finally:
            self._busy.release()

    def forget(self, refused: Token | None) -> None:
        """The token is not accepted any more; one that somebody got meanwhile stays."""
        if self.token == refused:
            self.token = None


_sessions: dict[object, Session] = {}
_guard = threading.Lock()


def session_of(config: DinkyConfig) -> Session:
    """The session that all clients of this process share, by address, user and tenant."""
    if not (config.username and config.password):
        return Session()
    headers = tuple(sorted(config.headers.items()))
    who = (config.base_url, config.username, config.password, config.tenant_id, headers)
    with _guard:
        return _sessions.setdefault(who, Session())


def forget_sessions() -> None:
    """Sign in again when next needed; a process that was forked begins so."""
    global _guard
    _guard = threading.Lock()
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_sessions)


@contextmanager
def before_sending() -> Iterator[None]:
    """Around the steps that come before a call: their trouble leaves no doubt that the call was not sent."""
    try:
        yield
    except DinkyError as error:
        error.outcome_unknown = False
        raise


def one_try(config: DinkyConfig, call: ApiCall[T], session: Session) -> Steps[T]:
    """The steps of sending a call once, with what has to come before it.

    ``/openapi`` asks nobody who they are, but takes a token where there is one, and a gateway before it may want one.
    """
    with before_sending():
        if call.tenant_task is not None:
            yield from one_try(config, calls.get_latest_job_instance(call.tenant_task), session)
        token = None if call.base_url is not None else _token_at_hand(config, session)
        if token is None and call.needs_sign_in:
            token = yield from session.renewed(config, None)
    reply = yield Exchange(call, wire.build(config, call, token))
    if wire.is_not_signed_in(reply) and call.base_url is None and not call.needs_sign_in:
        reply = yield from _send_otherwise(config, call, session, token, reply)
    try:
        return wire.decode(config, call, reply)
    except SessionLost:
        session.forget(token)
        raise


def _token_at_hand(config: DinkyConfig, session: Session) -> Token | None:
    return Token(config.token, TOKEN_NAMES) if config.token else session.token


def _send_otherwise(
    config: DinkyConfig, call: ApiCall[Any], session: Session, token: Token | None, refused: Reply
) -> Steps[Reply]:
    """A call that needs no sign-in was refused for want of one, before any effect: try a new token, then none."""
    reply = refused
    sent = token
    if config.username and config.password:
        with before_sending():
            sent = yield from session.renewed(config, token)
        reply = yield Exchange(call, wire.build(config, call, sent))
    if token is not None and wire.is_not_signed_in(reply):
        session.forget(sent)
        reply = yield Exchange(call, wire.build(config, call, None))
    return reply


def _sign_in(config: DinkyConfig) -> Steps[Token]:
    if not (config.username and config.password):
        raise DinkySignInError(
            f"connection '{config.name}': this call needs a signed-in user: put a Dinky user and password "
            "into the connection, or a token issued in Dinky's UI as its password with the login left empty"
        )
    login: ApiCall[Any] = ApiCall(
        "sign-in",
        "POST",
        "/api/login",
        lambda answer: answer.data,
        json={
            "username": config.username,
            "password": config.password,
            "autoLogin": True,
            "ldapLogin": False,
        },
    )
    reply = yield Exchange(login, wire.build(config, login))
    try:
        data = wire.decode(config, login, reply)
    except (SessionLost, DinkyRefusedError) as refused:
        if not wire.is_dinkys(reply):
            raise trouble.gateway_refuses(config, login, "HTTP 401") from refused
        said = wire.said_in(config, reply) or "no reason given"
        raise DinkySignInError(
            f"connection '{config.name}': Dinky refuses user '{config.username}' ({said}): "
            "check login and password of the connection"
        ) from refused
    token = token_in(data, reply.cookies)
    if token is None:
        raise DinkyResponseError(
            f"connection '{config.name}': sign-in: Dinky sent no token, neither in the answer nor as a cookie"
        )
    yield from _choose_tenant(config, token)
    return token


def _choose_tenant(config: DinkyConfig, token: Token) -> Steps[None]:
    choose: ApiCall[None] = ApiCall(
        "choice of tenant",
        "POST",
        "/api/chooseTenant",
        lambda answer: None,
        params={"tenantId": config.tenant_id},
    )
    reply = yield Exchange(choose, wire.build(config, choose, token))
    try:
        wire.decode(config, choose, reply)
    except (SessionLost, DinkyRefusedError) as refused:
        # It reads no token, although we sent one: so it refuses a tenant. Any other loss is somebody's sign-in.
        said = wire.said_in(config, reply).strip().lower()
        if isinstance(refused, SessionLost) and said not in _NO_TOKEN:
            raise
        raise trouble.wrong_tenant(config, choose) from refused


def token_in(data: Any, cookies: Mapping[str, str]) -> Token | None:
    """The token in the answer of a login: its name is in the answer, else it is that of the cookie that holds one."""
    info = data.get("tokenInfo") if isinstance(data, dict) else None
    told = info.get("tokenName") if isinstance(info, dict) else None
    name = told if isinstance(told, str) and _NAME.fullmatch(told) else None
    value = info.get("tokenValue") if isinstance(info, dict) else None
    known = [name, *TOKEN_NAMES, *(cookie for cookie in cookies if "token" in cookie.lower())]
    held = [(cookie, cookies[cookie]) for cookie in known if cookie is not None and cookie in cookies]
    if name is not None and isinstance(value, str):
        held.append((name, value))
    for candidate, value in held:
        if _NAME.fullmatch(candidate) and _COOKIE_VALUE.fullmatch(value):
            return Token(value, tuple(dict.fromkeys((candidate, name or candidate))))
    return None
