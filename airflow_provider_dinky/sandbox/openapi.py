# SPDX-License-Identifier: Apache-2.0
"""The endpoints that ask for no sign-in, and the verbs that the signed-in ones share with them."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from . import explain, shapes
from .calls import Call, body_integer, body_variables
from .dinky import Dinky, SubmitResult
from .envelope import Envelopes
from .java import JavaFailure
from .messages import Response
from .tasks import TaskSpec

DONE = "Execute Successfully"
FOUND = "Query Successfully"


def own(call: Call, task_id: int | None) -> int | None:
    """Return the task's id, or None where the caller's tenant is not known: Dinky finds no task then."""
    return None if call.tenant is None else task_id


class Verbs:
    """What can be done to a task, answered in an envelope; both ways in use it."""

    def __init__(self, dinky: Dinky, envelopes: Envelopes) -> None:
        self.dinky = dinky
        self.answers = envelopes

    async def submit_task(
        self,
        call: Call,
        task_id: int | None,
        path: str | None = None,
        variables: dict[str, str] | None = None,
    ) -> Response:
        """Submit; a plain SQL statement that fails is refused with its result as data."""
        result = await self.dinky.submit(task_id, path, variables, user=call.user)
        data = self._shown(result)
        if result.error is not None:
            return self.answers.refusal(result.error, data)
        return self.answers.success(data, DONE)

    def _shown(self, result: SubmitResult) -> dict[str, Any]:
        return shapes.job_result(result, self.dinky.engine.address, self.dinky.version)

    async def restart_task(self, call: Call, msg: str) -> Response:
        """Restart; the envelope says success even where the submit inside it failed."""
        task_id = own(call, call.integer("id"))
        result = await self.dinky.restart(task_id, call.optional("savePointPath"), user=call.user)
        return self.answers.success(self._shown(result), msg)

    async def cancel_task(self, call: Call) -> None:
        """Cancel the task's newest job."""
        await self.dinky.cancel(
            own(call, call.integer("id")),
            with_savepoint=call.flag("withSavePoint", False),
            force=call.flag("forceCancel", True),
        )

    async def take_savepoint(self, task_id: int | None, kind: str) -> Response:
        """Take a savepoint of the task's newest job."""
        result = await self.dinky.savepoint(task_id, kind)
        return self.answers.success(shapes.savepoint_result(result), DONE)

    async def explain(self, call: Call) -> Response:
        """Say what Flink would make of some SQL."""
        body = call.body()
        sql = str(body.get("statement") or "")
        task = self.dinky.tasks.get(body_integer(body, "id") or 0, TaskSpec(0, ""))
        asked = dataclasses.replace(task, sql=sql, fragment=bool(body.get("fragment")))
        statement = self.dinky.statement(asked, body_variables(body))
        rejection = explain.rejection(sql, task)
        return self.answers.success(explain.explain(statement, self.dinky.clock.now(), rejection), DONE)


class OpenApi(Verbs):
    """``/openapi``: Dinky acts as whom a valid token names, and else as its admin, whoever asks."""

    async def version(self, call: Call) -> Response:
        return self.answers.success(self.dinky.version.reported, FOUND)

    async def submit(self, call: Call) -> Response:
        body = call.body()
        task_id = body_integer(body, "id")
        return await self.submit_task(call, task_id, body.get("savePointPath"), body_variables(body))

    async def restart(self, call: Call) -> Response:
        return await self.restart_task(call, "Successfully")

    async def cancel(self, call: Call) -> Response:
        await self.cancel_task(call)
        return self.answers.success(True, DONE)

    async def savepoint(self, call: Call) -> Response:
        task_id, kind = call.integer("taskId"), call.text("savePointType")
        return await self.take_savepoint(own(call, task_id), kind)

    async def savepoint_task(self, call: Call) -> Response:
        body = call.body()
        task_id = body_integer(body, "taskId")
        return await self.take_savepoint(own(call, task_id), str(body.get("type") or "trigger"))

    async def instance(self, call: Call) -> Response:
        return self.answers.success(shapes.instance(self.dinky.instance(call.integer("id"))))

    async def instance_of_task(self, call: Call) -> Response:
        newest = self.dinky.store.newest(self.dinky.task(call.integer("id")).id)
        return self.answers.success(None if newest is None else shapes.instance(newest))

    async def export_sql(self, call: Call) -> Response:
        task = self.dinky.task(own(call, call.integer("id")))
        return self.answers.success(None, explain.exported(task))

    async def lineage(self, call: Call) -> Response:
        # Whatever task it is: Dinky tests its dialect the wrong way round.
        self.dinky.task(call.integer("id"))
        return self.answers.success(None, FOUND)

    async def plan(self, call: Call) -> Response:
        call.body()
        return self.answers.success(explain.plan(uuid.uuid4().hex), DONE)

    async def stream_graph(self, call: Call) -> Response:
        call.body()
        raise JavaFailure(explain.STREAM_GRAPH_FAILS)
