# SPDX-License-Identifier: Apache-2.0
"""Tasks as data: the tree of folders, saving, publishing, versions. What a pipeline that deploys tasks uses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .clock import Clock
from .java import Refusal
from .tasks import TaskSpec

DEVELOPING, PUBLISHED = 1, 2
"""Values of a task's ``step``."""

TASK_NOT_EXIST = "Task Not Exist"
ROOT = 0
_SPEC_FIELDS = {
    "statement": "sql",
    "name": "name",
    "dialect": "dialect",
    "type": "type",
    "fragment": "fragment",
}
_SPEC_FIELDS |= {"variables": "variables", "parallelism": "parallelism"}


@dataclass(frozen=True)
class Version:
    """What a task was when it was published."""

    id: int
    number: int
    task: TaskSpec
    settings: Mapping[str, Any]
    created: float


@dataclass
class Record:
    """What Dinky keeps of a task beside what runs: its settings by Dinky's names, its step, its versions."""

    settings: dict[str, Any]
    created: float
    updated: float
    step: int = DEVELOPING
    versions: list[Version] = field(default_factory=list)


@dataclass
class Node:
    """A folder, or the leaf of a task."""

    id: int
    name: str
    parent: int
    created: float
    task_id: int | None = None
    note: str | None = None


class Catalogue:
    """All tasks of a server, in their folders.

    :param tasks: the tasks that are there from the beginning, in a folder "demo".
    """

    def __init__(self, tasks: Iterable[TaskSpec], clock: Clock) -> None:
        self.tasks = {task.id: task for task in tasks}
        self.records: dict[int, Record] = {}
        self.nodes: dict[int, Node] = {}
        self._clock = clock
        self._node_ids = itertools.count(1)
        self._version_ids = itertools.count(1)
        demo = self.add_folder("demo", ROOT)
        for task in self.tasks.values():
            self._keep(task, served_settings(task))
            self._hang(task, demo.id, "")

    def task(self, task_id: int | None) -> TaskSpec:
        """Return a task or refuse."""
        task = self.tasks.get(task_id) if task_id is not None else None
        if task is None:
            raise Refusal(TASK_NOT_EXIST)
        return task

    def record(self, task_id: int) -> Record:
        """Return what is kept of a task."""
        return self.records[self.task(task_id).id]

    def children(self, parent: int) -> list[Node]:
        """Return what is in a folder, in the order of the ids."""
        return [node for node in self.nodes.values() if node.parent == parent]

    def add_folder(self, name: str, parent: int) -> Node:
        """Make a folder."""
        node = Node(next(self._node_ids), name, parent, self._clock.now())
        self.nodes[node.id] = node
        return node

    def add_task(self, name: str, parent: int, dialect: str, note: str | None, settings: Any) -> Node:
        """Make an empty task in a folder; a name is unique in the whole tenant."""
        if any(task.name == name for task in self.tasks.values()):
            raise Refusal("Task is existed")
        new = TaskSpec(
            max(self.tasks, default=0) + 1, name, sql="", dialect=dialect, type="local", fragment=False
        )
        self.tasks[new.id] = new
        self._keep(new, {**new_settings(), "note": note})
        self._save_settings(self.records[new.id], {"configJson": settings})
        return self._hang(new, parent, note)

    def save(self, task_id: int | None, given: Mapping[str, Any]) -> None:
        """Save what is given of a task and keep the rest. An id that does not exist makes a task of that id.

        A null counts as left out: a guess, after what Dinky's database layer does.
        """
        told = {name: value for name, value in given.items() if value is not None}
        if task_id not in self.tasks:
            new = TaskSpec(task_id or max(self.tasks, default=0) + 1, str(told["name"]), sql="", type="local")
            task_id, self.tasks[new.id] = new.id, new
            self._keep(new, new_settings())
        record = self.records[task_id]
        if record.step == PUBLISHED:
            raise Refusal("Task is online, modification is prohibited")
        fields: dict[str, Any] = {ours: told[name] for name, ours in _SPEC_FIELDS.items() if name in told}
        self.tasks[task_id] = replace(self.tasks[task_id], **fields)
        self._save_settings(record, told)
        # The step is a field as any other: a task that was read while published is published by being saved.
        record.step = told.get("step", record.step)
        record.updated = self._clock.now()

    def change_step(self, task_id: int | None, step: int) -> None:
        """Publish a task, or take it back to development. Publishing keeps a version of what was changed."""
        task = self.task(task_id)
        record = self.records[task.id]
        record.step = step
        last = record.versions[-1] if record.versions else None
        if step == PUBLISHED and (last is None or (last.task, last.settings) != (task, record.settings)):
            number = 1 if last is None else last.number + 1
            kept = dict(record.settings)
            record.versions.append(Version(next(self._version_ids), number, task, kept, self._clock.now()))

    def delete(self, node_id: int) -> None:
        """Delete an empty folder, or a task."""
        if self.children(node_id):
            raise Refusal("Folder Not Empty, Can Not Delete")
        node = self.nodes.pop(node_id, None)
        if node is not None and node.task_id is not None:
            del self.tasks[node.task_id], self.records[node.task_id]

    def _keep(self, task: TaskSpec, settings: dict[str, Any]) -> None:
        now = self._clock.now()
        self.records[task.id] = Record(settings, now, now)

    def _hang(self, task: TaskSpec, parent: int, note: str | None) -> Node:
        node = Node(next(self._node_ids), task.name, parent, self._clock.now(), task.id, note)
        self.nodes[node.id] = node
        return node

    def _save_settings(self, record: Record, told: Mapping[str, Any]) -> None:
        for name in record.settings.keys() & told.keys():
            value = told[name]
            if name == "configJson":
                value = {**record.settings[name], **(value or {})}
            record.settings[name] = value


def new_settings() -> dict[str, Any]:
    """Return the settings of a task that was just made."""
    return {
        "checkPoint": None,
        "savePointStrategy": 0,
        "savePointPath": None,
        "statementSet": False,
        "batchModel": False,
        "clusterId": None,
        "clusterConfigurationId": None,
        "databaseId": None,
        "envId": -1,
        "alertGroupId": -1,
        "configJson": {"udfConfig": None, "udfRefer": [], "customConfig": []},
        "note": None,
        "enabled": True,
        "firstLevelOwner": 1,
        "secondLevelOwners": [],
    }


def served_settings(task: TaskSpec) -> dict[str, Any]:
    """Return the settings of a task that is ready to run."""
    where = {"databaseId": 1} if task.is_plain_sql else {"clusterId": 1}
    return {**new_settings(), "checkPoint": 0, "statementSet": True, "note": "", **where}
