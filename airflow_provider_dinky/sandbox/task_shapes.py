# SPDX-License-Identifier: Apache-2.0
"""Tasks, their versions and their folders as the JSON objects that a Dinky 1.1.0 answers with, key for key."""

from __future__ import annotations

from typing import Any

from . import shapes
from .catalogue import ROOT, Catalogue, Node, Record, Version
from .envelope import iso_text, time_text
from .sessions import TENANT
from .store import JobInstance, Store
from .tasks import TaskSpec

_OF_BOTH = (
    *(
        "savePointStrategy",
        "savePointPath",
        "statementSet",
        "batchModel",
        "clusterId",
        "clusterConfigurationId",
    ),
    *("databaseId", "envId", "alertGroupId", "configJson", "note", "enabled"),
    *("firstLevelOwner", "secondLevelOwners"),
)
# An hour of the machine's zone and not of the database's, as in the recordings.
_MACHINE_ZONE = 8 * 3600.0


def whole(spec: TaskSpec, record: Record, named: JobInstance | None) -> dict[str, Any]:
    """Return one task as ``GET /api/task`` does."""
    settings = record.settings
    cluster = "local" if settings["clusterId"] else None
    return {
        **{name: settings[name] for name in _OF_BOTH},
        **_of_spec(spec, record, named),
        "variables": dict(spec.variables),
        "status": None if named is None else named.status,
        "clusterName": cluster,
        "path": None,
        "clusterConfigurationName": None,
        "databaseName": None,
        "envName": None,
        "alertGroup": None,
        "alertGroupName": None,
        "useResult": False,
        "useChangeLog": False,
        "useAutoCancel": True,
        "session": None,
        "jobName": None,
        "maxRowNum": 100,
        "updateTime": iso_text(record.updated, digits=0),
        "jobConfig": shapes.task_config(spec, record),
    }


def row(spec: TaskSpec, record: Record, named: JobInstance | None) -> dict[str, Any]:
    """Return one task as a line of the list, and in the tree."""
    return {
        **{name: record.settings[name] for name in (*_OF_BOTH, "checkPoint")},
        **_of_spec(spec, record, named),
        "createTime": iso_text(record.created, digits=0),
        "updateTime": iso_text(record.updated, digits=0),
        "creator": 1,
        "updater": 1,
        "operator": 1,
        "tenantId": TENANT,
    }


def _of_spec(spec: TaskSpec, record: Record, named: JobInstance | None) -> dict[str, Any]:
    return {
        "id": spec.id,
        "name": spec.name,
        "dialect": spec.dialect,
        "type": spec.type,
        "fragment": spec.fragment,
        "parallelism": spec.parallelism,
        "statement": spec.sql or None,
        "step": record.step,
        "versionId": record.versions[-1].number if record.versions else None,
        "jobInstanceId": None if named is None else named.id,
    }


def version(task_id: int, one: Version) -> dict[str, Any]:
    """Return one version that was published."""
    return {
        "id": one.id,
        "taskId": task_id,
        "name": one.task.name,
        "dialect": one.task.dialect,
        "type": one.task.type,
        "statement": one.task.sql,
        "versionId": one.number,
        "createTime": time_text(one.created + _MACHINE_ZONE),
    }


def tree(catalogue: Catalogue, store: Store, parent: int = ROOT) -> list[dict[str, Any]]:
    """Return the folders and tasks below a folder."""
    return [
        {
            **_node(one, iso_text(one.created, digits=0)),
            "enabled": True,
            "children": tree(catalogue, store, one.id),
            "task": None
            if one.task_id is None
            else row(catalogue.tasks[one.task_id], catalogue.records[one.task_id], store.named(one.task_id)),
            "note": one.note,
        }
        for one in catalogue.children(parent)
    ]


def new_node(node: Node, dialect: str) -> dict[str, Any]:
    """Return the leaf of a task that was just made."""
    times = iso_text(node.created)
    return {
        **_node(node, times),
        "type": dialect,
        "enabled": None,
        "children": [],
        "task": None,
        "note": None,
    }


def folders(catalogue: Catalogue) -> dict[str, Any]:
    """Return the folders only, numbered through."""
    weights = iter(range(1, len(catalogue.nodes) + 1))

    def below(parent: int) -> list[dict[str, Any]]:
        found = []
        for node in catalogue.children(parent):
            if node.task_id is None:
                shown = {"id": node.id, "parentId": parent, "weight": next(weights), "name": node.name}
                inner = below(node.id)
                found.append({**shown, "children": inner} if inner else shown)
        return found

    return {"id": ROOT, "parentId": -1, "weight": 0, "name": "全部", "children": below(ROOT)}


def _node(node: Node, time: str) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "createTime": time,
        "updateTime": time,
        "creator": 1,
        "updater": 1,
        "tenantId": TENANT,
        "taskId": node.task_id,
        "type": None if node.task_id is None else "FlinkSql",
        "parentId": node.parent,
        "isLeaf": node.task_id is not None,
    }
