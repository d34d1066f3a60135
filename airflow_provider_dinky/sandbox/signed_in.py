# SPDX-License-Identifier: Apache-2.0
"""The endpoints under ``/api``: what Dinky's own web pages use. Without a tenant cookie they find nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import archive, failures, people, shapes
from .calls import Call, body_integer
from .dinky import JOB_INSTANCE_NOT_EXIST, Dinky
from .engine import ENDED, EngineUnreachable, Recalling, RestAnswer
from .envelope import Envelopes, page
from .java import JavaFailure, Refusal
from .messages import Response
from .openapi import DONE, Verbs, own
from .sessions import TENANT, Sessions
from .store import JobInstance

_NO_LINEAGE: dict[str, Any] = {"tables": [], "relations": []}


class SignedIn(Verbs):
    """``/api``, for a caller whose token was already checked."""

    def __init__(self, dinky: Dinky, sessions: Sessions, envelopes: Envelopes) -> None:
        super().__init__(dinky, envelopes)
        self._sessions = sessions

    # Signing in and out.

    async def choose_tenant(self, call: Call) -> Response:
        if call.integer("tenantId") != TENANT:
            raise Refusal("Get Tenant Info Failed")
        return self.answers.success(people.tenant(self.dinky.version), "Select Tenant Success")

    async def token_info(self, call: Call) -> Response:
        seconds_left = self._sessions.seconds_left(call.token)
        return self.answers.success(people.token_info(call.token, seconds_left, self.dinky.version))

    async def sign_out(self, call: Call) -> Response:
        self._sessions.sign_out(call.token)
        return self.answers.success(None, "Sign Out Successfully")

    async def build_token(self, call: Call) -> Response:
        return self.answers.success(self._sessions.issue(call.user))

    # Tasks.

    async def explain_sql(self, call: Call) -> Response:
        return await self.explain(call)

    async def metrics(self, call: Call) -> Response:
        """Answer what Flink says where no vertex is named; of a vertex nothing."""
        vertex = call.text("verticeId")
        return self.answers.success([] if vertex else {"errors": [failures.NO_VERTEX.trace("flink")]})

    async def submit(self, call: Call) -> Response:
        return await self.submit_task(call, own(call, call.integer("id")))

    async def restart(self, call: Call) -> Response:
        return await self.restart_task(call, "Restart Successfully")

    async def cancel(self, call: Call) -> Response:
        await self.cancel_task(call)
        return self.answers.success(None, DONE)

    async def savepoint(self, call: Call) -> Response:
        task_id, kind = call.integer("taskId"), call.text("savePointType")
        return await self.take_savepoint(own(call, task_id), kind)

    # Job instances.

    async def instances(self, call: Call) -> Response:
        body = call.body()
        return page(self._listed(call, body), body, shapes.listed_instance)

    async def status_count(self, call: Call) -> Response:
        rows = [] if call.tenant is None else self.dinky.store.newest_of_each_task()
        return self.answers.success(shapes.status_counts(rows, overview=call.tenant is not None))

    async def detail(self, call: Call) -> Response:
        row = self._instance(call)
        return self.answers.success(await self._detail(row, shapes.instance(row)))

    async def refresh(self, call: Call) -> Response:
        row = self._instance(call)
        forced = call.flag("isForce", False)
        if forced:
            await self.dinky.refresh(row.id)
        return self.answers.success(await self._detail(row, shapes.instance(row, just_refreshed=forced)))

    async def lineage(self, call: Call) -> Response:
        return self.answers.success(self._instance(call).task.lineage or _NO_LINEAGE)

    async def lineage_of_sql(self, call: Call) -> Response:
        body = call.body()
        task = self.dinky.tasks.get(body_integer(body, "taskId") or 0)
        is_its = task is not None and task.sql.strip() == str(body.get("statement")).strip()
        found = task.lineage if task is not None and is_its else None
        return self.answers.success(found or _NO_LINEAGE, "血缘分析成功")

    # History, savepoints, clusters.

    async def history(self, call: Call) -> Response:
        body = call.body()
        task_id = body_integer(body, "taskId")
        rows = [row for row in self.dinky.store.histories.values() if task_id in (None, row.task.id)]
        address = self.dinky.engine.address
        visible = [] if call.tenant is None else rows
        return page(visible, body, lambda row: shapes.history(row, address, self.dinky.version))

    async def savepoints(self, call: Call) -> Response:
        body = call.body()
        task_id = body_integer(body, "taskId")
        rows = [row for row in self.dinky.store.savepoints.values() if task_id in (None, row.task_id)]
        return page([] if call.tenant is None else rows, body, shapes.savepoint)

    async def savepoints_of_task(self, call: Call) -> Response:
        task_id = own(call, call.integer("taskId"))
        rows = [row for row in self.dinky.store.savepoints.values() if row.task_id == task_id]
        return self.answers.success([shapes.savepoint(row) for row in reversed(rows)])

    async def clusters(self, call: Call) -> Response:
        known = [] if call.tenant is None else [shapes.cluster(self.dinky.engine.address)]
        return self.answers.success(known)

    async def flink(self, call: Call) -> Response:
        """Pass a request on to Flink. A real Dinky passes it on to any address; this one only to its own."""
        address, _, path = call.request.path[len("/api/flink/") :].partition("/")
        try:
            if address != self.dinky.engine.address:
                raise EngineUnreachable(address)
            answer = await self.dinky.engine.rest(call.request.method, f"/{path}", call.request.query)
        except EngineUnreachable as error:
            raise JavaFailure(failures.connection_refused(address)) from error
        return Response.of(answer.body, answer.status)

    def _instance(self, call: Call) -> JobInstance:
        row = self.dinky.instance(call.integer("id"))
        if call.tenant is None:
            raise Refusal(JOB_INSTANCE_NOT_EXIST)
        return row

    def _listed(self, call: Call, body: dict[str, Any]) -> Iterable[JobInstance]:
        if call.tenant is None:
            return []
        store = self.dinky.store
        rows = list(store.instances.values()) if body.get("isHistory") else store.newest_of_each_task()
        wanted = body.get("filter")
        ids, states = (_wanted(wanted, name) for name in ("id", "status"))
        task_id = body_integer(body, "taskId")
        return [
            row
            for row in rows
            if (not ids or row.id in ids)
            and (not states or row.status in states)
            and (task_id is None or row.task.id == task_id)
        ]

    async def _detail(self, row: JobInstance, shown: dict[str, Any]) -> dict[str, Any]:
        address = self.dinky.engine.address
        history = self.dinky.store.histories[row.history_id]
        return {
            "id": row.id,
            "instance": shown,
            "clusterInstance": shapes.cluster(address),
            "clusterConfiguration": None,
            "history": shapes.history(history, address, self.dinky.version, cluster_name=None),
            "jobDataDto": await self._job_data(row),
        }

    async def _job_data(self, row: JobInstance) -> dict[str, Any]:
        """Return what Flink told of the job when Dinky last saw it; nothing before that."""
        views = {
            "job": "",
            "exceptions": "/exceptions",
            "checkpoints": "/checkpoints",
            "checkpointsConfig": "/checkpoints/config",
            "config": "/config",
        }
        data: dict[str, Any] = dict.fromkeys(views)
        failed = row.trouble
        if row.seen is not None:
            try:
                for name, path in views.items():
                    answer = await self._view(f"/jobs/{row.jid}{path}", row.seen)
                    data[name] = answer.body if answer.status == 200 else None
            except EngineUnreachable:
                failed = failed or "ConnectException: Connection refused"
        shown = archive.passed_on(data)
        if self.dinky.version.archives_jobs and data["job"] and data["job"]["state"] in ENDED:
            shown = archive.from_archive(shown)
        return {
            "id": row.id,
            "tenantId": TENANT,
            **shown,
            "cluster": shapes.cluster(self.dinky.engine.address, with_owner=False),
            "clusterConfiguration": None,
            "error": failed is not None,
            "errorMsg": failed,
        }

    async def _view(self, path: str, moment: float) -> RestAnswer:
        engine = self.dinky.engine
        if isinstance(engine, Recalling):
            return engine.recall(path, moment)
        return await engine.rest("GET", path, {})


def _wanted(filters: Any, name: str) -> list[Any]:
    """Return the values that a list's filter asks for; empty for all."""
    value = filters.get(name) if isinstance(filters, dict) else None
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
