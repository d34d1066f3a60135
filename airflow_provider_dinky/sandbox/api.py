# SPDX-License-Identifier: Apache-2.0
"""Dinky's HTTP API: which path leads to which handler, and who may come through.

``/openapi`` asks for no sign-in; ``/api`` does. ``/jobs`` is Flink's own REST API, on the same port so that
one address is enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from . import people
from .calls import Call, method_not_supported
from .dinky import Dinky
from .engine import EngineUnreachable
from .envelope import Envelopes
from .java import JavaFailure, Refusal
from .messages import ConnectionDropped, Request, Response
from .openapi import OpenApi
from .sessions import TENANT, LoginRefused, NotSignedIn, Sessions, WrongTenant
from .signed_in import SignedIn
from .tenants import TenantUse, Workers

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One endpoint: the only method it takes, what serves it, and what it does with the thread's tenant."""

    method: str
    handler: Handler
    tenant: TenantUse = TenantUse.IGNORES


class DinkyApi:
    """Answers requests for one :class:`~.dinky.Dinky`."""

    def __init__(self, dinky: Dinky, sessions: Sessions, workers: Workers) -> None:
        self.openapi_asks_for_token = False
        """Whether ``/openapi`` lets in only who is signed in, as behind some gateways."""
        self._engine = dinky.engine
        self._version = dinky.version
        self._sessions = sessions
        self._workers = workers
        self._envelopes = Envelopes(dinky.clock.now)
        signed_in = SignedIn(dinky, sessions, self._envelopes)
        self._flink_proxy = signed_in.flink
        self._routes = {**_openapi(OpenApi(dinky, self._envelopes)), **_api(signed_in)}

    async def handle(self, request: Request) -> Response:
        """Return the answer to any request.

        Raises ConnectionDropped for Flink's own paths while the cluster is gone.
        """
        if request.path.startswith("/jobs"):
            return await self._flink(request)
        try:
            return await self._dinky(request)
        except Refusal as error:
            return self._envelopes.refusal(str(error))
        except JavaFailure as error:
            return self._envelopes.exception(error.throwable)
        except NotSignedIn as error:
            return self._envelopes.not_signed_in(str(error))
        except WrongTenant:
            return Response(200, "")

    async def _dinky(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if path == "/api/login":
            return await self._serve(Route("POST", self._login), Call(request))
        if path.startswith("/api/"):
            call = self._signed_in(request)
            if path.startswith("/api/flink/"):
                return await self._flink_proxy(call)
        else:
            call = self._anybody(request)
        route = self._routes.get(path)
        return self._envelopes.not_found(request.path) if route is None else await self._serve(route, call)

    async def _serve(self, route: Route, call: Call) -> Response:
        if call.request.method != route.method:
            raise method_not_supported(call.request.method)
        if not self._workers.serve(route.tenant):
            call = replace(call, tenant=None)
        return await route.handler(call)

    def _signed_in(self, request: Request) -> Call:
        token = self._token(request)
        user = self._sessions.user(token)
        return Call(request, self._sessions.tenant(token, request.cookies.get("tenantId")), token, user)

    def _anybody(self, request: Request) -> Call:
        token = self._token(request)
        try:
            return Call(request, TENANT, token, self._sessions.user(token))
        except NotSignedIn:
            if self.openapi_asks_for_token:
                raise
            return Call(request, TENANT)

    def _token(self, request: Request) -> str:
        name = self._version.token_name
        return request.cookies.get(name) or request.headers.get(name) or ""

    async def _login(self, call: Call) -> Response:
        body = call.body()
        username = str(body.get("username"))
        try:
            token = self._sessions.login(username, str(body.get("password")))
        except LoginRefused as error:
            return self._envelopes.not_signed_in(str(error), status=200)
        user = people.login(username, self._sessions.user_id(username), self._version)
        answer = self._envelopes.success(user, "Login Successfully")
        cookie = f"{self._version.token_name}={token}; Max-Age=36000; Path=/"
        return replace(answer, headers={"Set-Cookie": cookie})

    async def _flink(self, request: Request) -> Response:
        try:
            answer = await self._engine.rest(request.method, request.path, request.query)
        except EngineUnreachable as error:
            raise ConnectionDropped from error
        return Response.of(answer.body, answer.status)


def _openapi(handlers: OpenApi) -> dict[str, Route]:
    sets, needs = TenantUse.SETS, TenantUse.NEEDS
    return {
        "/openapi/version": Route("GET", handlers.version),
        "/openapi/submitTask": Route("POST", handlers.submit, sets),
        "/openapi/restartTask": Route("GET", handlers.restart, needs),
        "/openapi/cancel": Route("GET", handlers.cancel, needs),
        "/openapi/savepoint": Route("POST", handlers.savepoint, needs),
        "/openapi/savepointTask": Route("POST", handlers.savepoint_task, needs),
        "/openapi/getJobInstance": Route("GET", handlers.instance, sets),
        "/openapi/getJobInstanceByTaskId": Route("GET", handlers.instance_of_task, sets),
        "/openapi/exportSql": Route("GET", handlers.export_sql, needs),
        "/openapi/getTaskLineage": Route("GET", handlers.lineage, sets),
        "/openapi/explainSql": Route("POST", handlers.explain),
        "/openapi/getJobPlan": Route("POST", handlers.plan),
        "/openapi/getStreamGraph": Route("POST", handlers.stream_graph),
    }


def _api(handlers: SignedIn) -> dict[str, Route]:
    return {
        "/api/chooseTenant": Route("POST", handlers.choose_tenant),
        "/api/tokenInfo": Route("GET", handlers.token_info),
        "/api/outLogin": Route("DELETE", handlers.sign_out),
        "/api/token/buildToken": Route("POST", handlers.build_token),
        "/api/task": Route("GET", handlers.task),
        "/api/task/submitTask": Route("GET", handlers.submit),
        "/api/task/restartTask": Route("GET", handlers.restart),
        "/api/task/cancel": Route("GET", handlers.cancel),
        "/api/task/savepoint": Route("GET", handlers.savepoint),
        "/api/jobInstance": Route("POST", handlers.instances),
        "/api/jobInstance/getStatusCount": Route("GET", handlers.status_count),
        "/api/jobInstance/getJobInfoDetail": Route("GET", handlers.detail),
        "/api/jobInstance/refreshJobInfoDetail": Route("GET", handlers.refresh),
        "/api/history/list": Route("POST", handlers.history),
        "/api/savepoints": Route("POST", handlers.savepoints),
        "/api/savepoints/listSavepointsByTaskId": Route("GET", handlers.savepoints_of_task),
        "/api/cluster/list": Route("GET", handlers.clusters),
    }
