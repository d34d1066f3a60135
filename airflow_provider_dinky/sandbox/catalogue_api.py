# SPDX-License-Identifier: Apache-2.0
"""The endpoints under ``/api`` that read, save and publish tasks."""

from __future__ import annotations

from typing import Any

from . import failures, task_shapes
from .calls import Call, InvalidField, body_integer
from .catalogue import DEVELOPING, PUBLISHED, ROOT
from .dinky import Dinky
from .envelope import Envelopes, page
from .java import JavaFailure, Refusal
from .messages import Response
from .openapi import own

SAVED = "Save Successfully"


class CatalogueApi:
    """``/api/catalogue`` and what belongs to it, for a caller whose token was already checked."""

    def __init__(self, dinky: Dinky, envelopes: Envelopes) -> None:
        self._dinky = dinky
        self._catalogue = dinky.catalogue
        self._answers = envelopes

    async def tree(self, call: Call) -> Response:
        found = [] if call.tenant is None else task_shapes.tree(self._catalogue, self._dinky.store)
        return self._answers.success(found)

    async def folders(self, call: Call) -> Response:
        return self._answers.success(task_shapes.folders(self._catalogue))

    async def add_folder(self, call: Call) -> Response:
        body = call.body()
        self._catalogue.add_folder(str(body.get("name")), body_integer(body, "parentId") or ROOT)
        return self._answers.success(None, SAVED)

    async def add_task(self, call: Call) -> Response:
        body = call.body()
        dialect, note = str(body.get("dialect") or body.get("type")), body.get("note")
        parent = body_integer(body, "parentId") or ROOT
        node = self._catalogue.add_task(str(body.get("name")), parent, dialect, note, body.get("configJson"))
        return self._answers.success(task_shapes.new_node(node, dialect), SAVED)

    async def delete(self, call: Call) -> Response:
        self._catalogue.delete(call.integer("id"))
        # What a deletion that works says is not in the recordings: a guess.
        return self._answers.success(None, "Delete Successfully")

    async def task(self, call: Call) -> Response:
        task = self._catalogue.task(own(call, call.integer("id")))
        record, named = self._catalogue.record(task.id), self._dinky.store.named(task.id)
        return self._answers.success(task_shapes.whole(task, record, named))

    async def save(self, call: Call) -> Response:
        body = call.body()
        for name in ("name", "enabled"):
            if body.get(name) is None:
                raise InvalidField(name)
        self._catalogue.save(body_integer(body, "id"), body)
        return self._answers.success(None, SAVED)

    async def tasks(self, call: Call) -> Response:
        body = call.body()
        name = body.get("name")
        if name and not self._dinky.version.finds_tasks_by_name:
            raise JavaFailure(failures.no_such_column(f"%{name}%"))
        store, records = self._dinky.store, self._catalogue.records
        found = [] if call.tenant is None else list(self._catalogue.tasks.values())
        wanted = [task for task in found if not name or str(name) in task.name]
        return page(wanted, body, lambda task: task_shapes.row(task, records[task.id], store.named(task.id)))

    async def change_step(self, call: Call) -> Response:
        task_id, step = own(call, call.integer("taskId")), call.integer("lifeCycle")
        if step not in (DEVELOPING, PUBLISHED):
            raise Refusal("Operate Failed")
        self._catalogue.change_step(task_id, step)
        return self._answers.success(None, f"{'Publish' if step == PUBLISHED else 'Offline'} Successfully")

    async def versions(self, call: Call) -> Response:
        record = self._catalogue.record(call.integer("taskId"))
        shown = [task_shapes.version(call.integer("taskId"), one) for one in reversed(record.versions)]
        return self._answers.success(shown)

    async def roll_back(self, call: Call) -> Response:
        """Fail, as every Dinky does."""
        body: dict[str, Any] = call.body()
        record = self._catalogue.record(body_integer(body, "taskId") or 0)
        is_there = body_integer(body, "versionId") in [one.number for one in record.versions]
        raise JavaFailure(failures.ROLLBACK_FAILS if is_there else failures.NO_SUCH_VERSION)
