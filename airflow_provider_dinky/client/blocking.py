# SPDX-License-Identifier: Apache-2.0
"""The client for code that may block: operators, hooks, sensors in poke mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, TypeVar

import requests
from tenacity import Retrying
from urllib3.exceptions import HTTPError, LocationValueError, NewConnectionError, ReadTimeoutError

from airflow_provider_dinky.client import trouble, wire
from airflow_provider_dinky.client.calls import ApiCall, Sleep
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyError
from airflow_provider_dinky.client.http_limits import (
    AnswerTooLarge,
    AnswerUnreadable,
    Body,
    HeadUnreadable,
    check_head,
    cookies_in,
    reason_of,
)
from airflow_provider_dinky.client.retry import RetryFor, policy
from airflow_provider_dinky.client.session import Exchange, Pause, Session, one_try, session_of

T = TypeVar("T")
_CHUNK = 65_536


class DinkyClient:
    """Sends calls to one Dinky over kept-alive connections. Close it, or use it in a ``with`` statement.

    :param config: address and credentials.
    :param retry_for: how long trouble is waited out.
    :param sleep: how to wait between tries, given seconds.
    :param session: the sign-in to use; that of this process, which all clients of a connection share, if not given.
    """

    def __init__(
        self,
        config: DinkyConfig,
        retry_for: RetryFor | None = None,
        sleep: Callable[[float], None] = time.sleep,
        session: Session | None = None,
    ) -> None:
        self.config = config
        self._retry_for = retry_for or RetryFor()
        self._sleep = sleep
        self._session = _new_session(config)
        self._proxy_of: dict[str, str | None] = {}
        self._signed_in = session or session_of(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config!r})"

    def __enter__(self) -> DinkyClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client can be used again, over new ones."""
        self._session.close()

    def with_patience(self, config: DinkyConfig, retry_for: RetryFor) -> DinkyClient:
        """Another client for the same Dinky, signed in as this one is, with other time-outs and retries."""
        return DinkyClient(config, retry_for, self._sleep, self._signed_in)

    def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its result.

        :raises DinkyError: of the kind that says what happened; see ``errors``.
        """
        for attempt in Retrying(sleep=self._sleep, **policy(call, self._retry_for)):
            with attempt:
                return self._try(call)
        raise AssertionError("unreachable")  # pragma: no cover

    def longest(self, call: ApiCall[Any]) -> float:
        """Seconds from :meth:`send` until the call can no longer be under way in Dinky, as far as time-outs tell."""
        request = wire.build(self.config, call)
        return self._retry_for.connection + self.config.connect_timeout + request.read_timeout

    def run(
        self, steps: Generator[ApiCall[Any] | Sleep, Any, T], sleep: Callable[[float], None] | None = None
    ) -> T:
        """Send the calls that a generator yields, hand it their results, and return its own.

        :param sleep: how to wait for its pauses, given seconds; None waits as between tries.
        :raises DinkyError: as :meth:`send`, unless the generator, which sees it first, catches it.
        """

        def carry_out(step: ApiCall[Any] | Sleep) -> Any:
            return (sleep or self._sleep)(step.seconds) if isinstance(step, Sleep) else self.send(step)

        return _carried_out(steps, carry_out)

    def _try(self, call: ApiCall[T]) -> T:
        return _carried_out(one_try(self.config, call, self._signed_in), self._step)

    def _step(self, step: Exchange | Pause) -> wire.Reply | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self._exchange(step.call, step.request)

    def _exchange(self, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        if not request.fresh:
            return self._follow(self._session, call, request)
        with _new_session(self.config) as session:
            return self._follow(session, call, request)

    def _follow(self, session: requests.Session, call: ApiCall[Any], request: wire.Request) -> wire.Reply:
        url = request.url
        for _ in range(wire.MAX_REDIRECTS):
            reply = self._once(session, call, request, url)
            target = wire.redirect_target(self.config, call, url, reply)
            if target is None:
                return reply
            url = target
        raise trouble.unusable_address(self.config, call, "redirected in circles")

    def _once(
        self, session: requests.Session, call: ApiCall[Any], request: wire.Request, url: str
    ) -> wire.Reply:
        deadline = time.monotonic() + request.connect_timeout + request.read_timeout
        try:
            with session.request(
                request.method,
                url,
                params=request.params if url == request.url else None,
                json=request.json,
                headers=dict(request.headers),
                timeout=(request.connect_timeout, request.read_timeout),
                proxies=self._proxies(url),
                allow_redirects=False,
                stream=True,
            ) as response:
                _check_headers(response)
                return wire.Reply(
                    response.status_code,
                    self._read(response, deadline),
                    response.headers.get("Location"),
                    cookies_in(response.raw.headers.getlist("Set-Cookie")),
                )
        except DinkyError:
            raise
        except Exception as error:
            found = _trouble(self.config, call, request, error)
            # A bad address is quoted whole by the libraries, with what may be secret in it.
            raise found from (None if isinstance(found, DinkyConfigError) else error)

    def _proxies(self, url: str) -> dict[str, str]:
        origin = url.split("/", 3)[2]
        if origin not in self._proxy_of:
            self._proxy_of[origin] = self.config.proxy_for(url)
        proxy = self._proxy_of[origin]
        return {"http": proxy, "https": proxy} if proxy else {}

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        body = Body(response.headers.get("Content-Encoding"))
        for chunk in _chunks(response):
            body.feed(chunk)
            if time.monotonic() > deadline:
                raise requests.exceptions.ReadTimeout("the answer does not end")
        return body.whole()


def _carried_out(steps: Generator[Any, Any, T], carry_out: Callable[[Any], Any]) -> T:
    """The result of a generator, whose steps are carried out one by one; it sees their errors first."""
    try:
        step = next(steps)
        while True:
            try:
                answer = carry_out(step)
            except DinkyError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


def _new_session(config: DinkyConfig) -> requests.Session:
    session = requests.Session()
    # Off, since it would also read .netrc; what the environment says of proxies and CAs is taken from config.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.verify = (config.ca_file() or True) if config.verify else False
    return session


def _check_headers(response: requests.Response) -> None:
    """Refuse what the other library would, and what Python's own parser has given up on in the middle."""
    check_head(divmod(response.raw.version or 11, 10), response.raw.headers.items())
    parsed = getattr(getattr(response.raw, "_original_response", None), "msg", None)
    defects = getattr(parsed, "defects", None)
    if defects:
        raise HeadUnreadable(f"headers: {type(defects[0]).__name__}")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives. ``iter_content`` waits for full chunks, so an answer that drips would hold it up."""
    read = getattr(response.raw, "read1", None)
    if read is None:  # urllib3 before 2.1
        yield from response.raw.stream(_CHUNK, decode_content=False)
        return
    while chunk := read(_CHUNK, decode_content=False):
        yield chunk


def _trouble(config: DinkyConfig, call: ApiCall[Any], request: wire.Request, error: Exception) -> DinkyError:
    """What an exchange that failed comes to."""
    why = reason_of(error)
    if isinstance(error, AnswerTooLarge):
        return trouble.too_large(config, call)
    if isinstance(error, HeadUnreadable):
        return trouble.unreachable(config, call, f"answer cut short: {error}", sent=True)
    if isinstance(error, AnswerUnreadable):
        return trouble.no_http(config, call, str(error))
    if isinstance(error, requests.exceptions.SSLError):
        return trouble.tls_failed(config, call, why, sent=True)
    if isinstance(
        error,
        (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, LocationValueError),
    ):
        return trouble.unusable_address(config, call, why)
    if isinstance(error, (requests.exceptions.Timeout, ReadTimeoutError)):
        if isinstance(error, requests.exceptions.ConnectTimeout) or _in_handshake(error):
            why = f"no connection within {request.connect_timeout:g} s"
            return trouble.unreachable(config, call, why, sent=False)
        return trouble.unreachable(config, call, f"no answer within {request.read_timeout:g} s", sent=True)
    if isinstance(error, requests.exceptions.ConnectionError):
        if _was_never_connected(error):
            return trouble.unreachable(config, call, f"cannot connect: {why}", sent=False)
        return trouble.unreachable(config, call, f"connection lost: {why}", sent=True)
    if isinstance(error, (requests.exceptions.RequestException, HTTPError)):
        return trouble.unreachable(config, call, f"answer cut short: {why}", sent=True)
    if isinstance(error, OSError):
        return trouble.unusable_ca(config, call, str(error))
    return trouble.no_http(config, call, why)


def _in_handshake(error: BaseException | None) -> bool:
    while error is not None and "handshake operation timed out" not in str(error):
        error = error.__cause__ or error.__context__
    return error is not None


def _was_never_connected(error: requests.exceptions.ConnectionError) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    # What a proxy refused is wrapped once more.
    cause = getattr(reason, "original_error", reason)
    return isinstance(cause, NewConnectionError) or str(cause).startswith("Tunnel connection failed")
