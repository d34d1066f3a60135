# SPDX-License-Identifier: Apache-2.0
"""Dinky's HTTP API: which path leads to which handler, and who may come through.

``/openapi`` asks for no sign-in; ``/api`` does. ``/jobs`` is Flink's own REST API, on the same port so that
one address is enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from . import people
from .calls import Call, InvalidField, method_not_supported
from .catalogue_api import CatalogueApi
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
    """One endpoint: what serves it, and what it does with the thread's tenant."""

    handler: Handler
    tenant: TenantUse = TenantUse.IGNORES


Routes = dict[tuple[str, str], Route]
"""Endpoints by method and path."""


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
        self._routes: Routes = {
            ("POST", "/api/login"): Route(self._login),
            **_openapi(OpenApi(dinky, self._envelopes)),
            **_api(signed_in),
            **_tasks(CatalogueApi(dinky, self._envelopes)),
        }
        self._paths = {path for _, path in self._routes}

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
        except InvalidField as error:
            return self._envelopes.invalid(str(error))
        except NotSignedIn as error:
            return self._envelopes.not_signed_in(str(error))
        except WrongTenant:
            return Response(200, "")

    async def _dinky(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if path == "/api/login":
            call = Call(request)
        elif path.startswith("/api/"):
            call = self._signed_in(request)
            if path.startswith("/api/flink/"):
                return await self._flink_proxy(call)
        else:
            call = self._anybody(request)
        if path not in self._paths:
            return self._envelopes.not_found(request.path)
        route = self._routes.get((request.method, path))
        if route is None:
            raise method_not_supported(request.method)
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


def _openapi(handlers: OpenApi) -> Routes:
    sets, needs = TenantUse.SETS, TenantUse.NEEDS
    return {
        ("GET", "/openapi/version"): Route(handlers.version),
        ("POST", "/openapi/submitTask"): Route(handlers.submit, sets),
        ("GET", "/openapi/restartTask"): Route(handlers.restart, needs),
        ("GET", "/openapi/cancel"): Route(handlers.cancel, needs),
        ("POST", "/openapi/savepoint"): Route(handlers.savepoint, needs),
        ("POST", "/openapi/savepointTask"): Route(handlers.savepoint_task, needs),
        ("GET", "/openapi/getJobInstance"): Route(handlers.instance, sets),
        ("GET", "/openapi/getJobInstanceByTaskId"): Route(handlers.instance_of_task, sets),
        ("GET", "/openapi/exportSql"): Route(handlers.export_sql, needs),
        ("GET", "/openapi/getTaskLineage"): Route(handlers.lineage, sets),
        ("POST", "/openapi/explainSql"): Route(handlers.explain),
        ("POST", "/openapi/getJobPlan"): Route(handlers.plan),
        ("POST", "/openapi/getStreamGraph"): Route(handlers.stream_graph),
    }


def _api(handlers: SignedIn) -> Routes:
    return {
        ("POST", "/api/chooseTenant"): Route(handlers.choose_tenant),
        ("GET", "/api/tokenInfo"): Route(handlers.token_info),
        ("DELETE", "/api/outLogin"): Route(handlers.sign_out),
        ("POST", "/api/token/buildToken"): Route(handlers.build_token),
        ("POST", "/api/task/explainSql"): Route(handlers.explain_sql),
        ("GET", "/api/task/submitTask"): Route(handlers.submit),
        ("GET", "/api/task/restartTask"): Route(handlers.restart),
        ("GET", "/api/task/cancel"): Route(handlers.cancel),
        ("GET", "/api/task/savepoint"): Route(handlers.savepoint),
        ("POST", "/api/jobInstance"): Route(handlers.instances),
        ("GET", "/api/jobInstance/getStatusCount"): Route(handlers.status_count),
        ("GET", "/api/jobInstance/getJobMetricsItems"): Route(handlers.metrics),
        ("GET", "/api/jobInstance/getLineage"): Route(handlers.lineage),
        ("POST", "/api/studio/getLineage"): Route(handlers.lineage_of_sql),
        ("GET", "/api/jobInstance/getJobInfoDetail"): Route(handlers.detail),
        ("GET", "/api/jobInstance/refreshJobInfoDetail"): Route(handlers.refresh),
        ("POST", "/api/history/list"): Route(handlers.history),
        ("POST", "/api/savepoints"): Route(handlers.savepoints),
        ("GET", "/api/savepoints/listSavepointsByTaskId"): Route(handlers.savepoints_of_task),
        ("GET", "/api/cluster/list"): Route(handlers.clusters),
    }


def _tasks(handlers: CatalogueApi) -> Routes:
    return {
        ("GET", "/api/task"): Route(handlers.task),
        ("PUT", "/api/task"): Route(handlers.save),
        ("POST", "/api/task"): Route(handlers.tasks),
        ("GET", "/api/task/changeTaskLife"): Route(handlers.change_step),
        ("GET", "/api/task/version"): Route(handlers.versions),
        ("POST", "/api/task/rollbackTask"): Route(handlers.roll_back),
        ("GET", "/api/task/queryAllCatalogue"): Route(handlers.folders),
        ("POST", "/api/catalogue/getCatalogueTreeData"): Route(handlers.tree),
        ("PUT", "/api/catalogue/saveOrUpdateCatalogue"): Route(handlers.add_folder),
        ("PUT", "/api/catalogue/saveOrUpdateCatalogueAndTask"): Route(handlers.add_task),
        ("DELETE", "/api/catalogue/deleteCatalogueById"): Route(handlers.delete),
    }
