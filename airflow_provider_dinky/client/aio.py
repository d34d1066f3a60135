# SPDX-License-Identifier: Apache-2.0
"""The client for code on an event loop: triggers and the watcher."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
from tenacity import AsyncRetrying

from airflow_provider_dinky.client import trouble, wire
from airflow_provider_dinky.client.calls import ApiCall, Sleep
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyError
from airflow_provider_dinky.client.http_limits import (
    MAX_HEADER_BYTES,
    AnswerTooLarge,
    AnswerUnreadable,
    Body,
    HeadUnreadable,
    check_head,
    cookies_in,
    reason_of,
)
from airflow_provider_dinky.client.retry import NO_RETRY, RetryFor, policy
from airflow_provider_dinky.client.session import Exchange, Pause, Session, one_try, session_of

T = TypeVar("T")


class AsyncDinkyClient:
    """Sends calls to one Dinky over kept-alive connections; belongs to one event loop.

    :param config: address and credentials.
    :param retry_for: how long trouble is waited out.
    :param sleep: how to wait between tries, given seconds.
    :param connections: the most connections open at a time.
    :param session: the sign-in to use; that of this process, which all clients of a connection share, if not given.
    """

    def __init__(
        self,
        config: DinkyConfig,
        retry_for: RetryFor | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        connections: int = 16,
        session: Session | None = None,
    ) -> None:
        self.config = config
        self._retry_for = retry_for or RetryFor()
        self._sleep = sleep
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._proxy_of: dict[str, str | None] = {}
        self._signed_in = session or session_of(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config!r})"

    async def __aenter__(self) -> AsyncDinkyClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client can be used again, over new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its result.

        :raises DinkyError: of the kind that says what happened; see ``errors``.
        """
        if self._retry_for == NO_RETRY:
            return await self._try(call)
        async for attempt in AsyncRetrying(sleep=self._sleep, **policy(call, self._retry_for)):
            with attempt:
                return await self._try(call)
        raise AssertionError("unreachable")  # pragma: no cover

    async def run(self, steps: Generator[ApiCall[Any] | Sleep, Any, T]) -> T:
        """Send the calls that a generator yields, hand it their results, and return its own.

        :raises DinkyError: as :meth:`send`, unless the generator, which sees it first, catches it.
        """

        async def carry_out(step: ApiCall[Any] | Sleep) -> Any:
            return await (self._sleep(step.seconds) if isinstance(step, Sleep) else self.send(step))

        return await _carried_out(steps, carry_out)

    async def _try(self, call: ApiCall[T]) -> T:
        return await _carried_out(one_try(self.config, call, self._signed_in), self._step)

    async def _step(self, step: Exchange | Pause) -> wire.Reply | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        return await self._exchange(step.call, step.request)

    async def _exchange(self, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        if not request.fresh:
            if self._session is None:
                self._session = self._new_session(call, self._connections)
            return await self._follow(self._session, call, request)
        async with self._new_session(call, 1) as session:
            return await self._follow(session, call, request)

    def _new_session(self, call: ApiCall[Any], connections: int) -> aiohttp.ClientSession:
        try:
            tls = _tls(self.config)
        except OSError as error:
            raise trouble.unusable_ca(self.config, call, str(error)) from None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=connections),
            cookie_jar=_NoCookies(),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        # aiohttp sends a GET once more after a reset, but Dinky starts and stops jobs by GET. No public switch.
        session._retry_connection = False
        return session

    async def _follow(
        self, session: aiohttp.ClientSession, call: ApiCall[Any], request: wire.Request
    ) -> wire.Reply:
        url = request.url
        for _ in range(wire.MAX_REDIRECTS):
            reply = await self._once(session, call, request, url)
            target = wire.redirect_target(self.config, call, url, reply)
            if target is None:
                return reply
            url = target
        raise trouble.unusable_address(self.config, call, "redirected in circles")

    async def _once(
        self, session: aiohttp.ClientSession, call: ApiCall[Any], request: wire.Request, url: str
    ) -> wire.Reply:
        try:
            async with session.request(
                request.method,
                url,
                params=request.params if url == request.url else None,
                json=request.json,
                headers=dict(request.headers),
                proxy=self._proxy(url),
                timeout=aiohttp.ClientTimeout(
                    total=request.connect_timeout + request.read_timeout,
                    sock_connect=request.connect_timeout,
                    sock_read=request.read_timeout,
                ),
                allow_redirects=False,
            ) as response:
                version = response.version or aiohttp.HttpVersion11
                check_head((version.major, version.minor), response.headers.items())
                return wire.Reply(
                    response.status,
                    await self._read(response),
                    response.headers.get("Location"),
                    cookies_in(response.headers.getall("Set-Cookie", ())),
                )
        except DinkyError:
            raise
        except Exception as error:
            found = _trouble(self.config, call, request, error)
            # A bad address is quoted whole by the libraries, with what may be secret in it.
            raise found from (None if isinstance(found, DinkyConfigError) else error)

    def _proxy(self, url: str) -> str | None:
        origin = url.split("/", 3)[2]
        if origin not in self._proxy_of:
            self._proxy_of[origin] = self.config.proxy_for(url)
        return self._proxy_of[origin]

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = Body(response.headers.get("Content-Encoding"))
        async for chunk in response.content.iter_any():
            body.feed(chunk)
        return body.whole()


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none, and reads none: aiohttp lets a ValueError out for some that break the rules."""

    def update_cookies_from_headers(self, headers: Any, response_url: Any) -> None:
        """Nothing."""


def _trouble(config: DinkyConfig, call: ApiCall[Any], request: wire.Request, error: Exception) -> DinkyError:
    """What an exchange that failed comes to."""
    why = reason_of(error)
    if isinstance(error, AnswerTooLarge):
        return trouble.too_large(config, call)
    if isinstance(error, HeadUnreadable):
        return trouble.unreachable(config, call, f"answer cut short: {error}", sent=True)
    if isinstance(error, AnswerUnreadable):
        return trouble.no_http(config, call, str(error))
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        return trouble.tls_failed(config, call, str(error), sent=False)
    if isinstance(error, (aiohttp.InvalidURL, UnicodeError)):
        return trouble.unusable_address(config, call, str(error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        why = f"no connection within {request.connect_timeout:g} s"
        return trouble.unreachable(config, call, why, sent=False)
    if isinstance(error, asyncio.TimeoutError):
        return trouble.unreachable(config, call, f"no answer within {request.read_timeout:g} s", sent=True)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)):
        return trouble.unreachable(config, call, f"cannot connect: {why}", sent=False)
    if isinstance(error, (aiohttp.ClientConnectionError, ConnectionError)):
        return trouble.unreachable(config, call, f"connection lost: {why}", sent=True)
    if isinstance(error, aiohttp.ClientError):
        return trouble.unreachable(config, call, f"answer cut short: {why}", sent=True)
    return trouble.no_http(config, call, why)


async def _carried_out(
    steps: Generator[Any, Any, T], carry_out: Callable[[Any], Coroutine[Any, Any, Any]]
) -> T:
    """The result of a generator, whose steps are carried out one by one; it sees their errors first."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await carry_out(step)
            except DinkyError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


def _tls(config: DinkyConfig) -> ssl.SSLContext | bool:
    if not config.base_url.startswith("https"):
        return True
    if not config.verify:
        return False
    ca = config.ca_file()
    if ca and os.path.isdir(ca):
        return ssl.create_default_context(capath=ca)
    return ssl.create_default_context(cafile=ca)
