# SPDX-License-Identifier: Apache-2.0
"""Dinky's tables: job instances, the history of submits, savepoints. What a server restart may lose."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from .tasks import TaskSpec

DONE = frozenset({"FINISHED", "FAILED", "CANCELED", "UNKNOWN"})
"""The states after which Dinky looks no more. UNKNOWN is one of them, though the job may well run."""

STARTING, ACCEPTED, FAILED = 0, 2, 3
"""States of a history row."""

ADMIN = 1
"""The id of Dinky's admin, as whom it acts for a caller who does not say who he is."""


@dataclass
class JobInstance:
    """Dinky's view of one job. Times in seconds since 1970; ``duration`` in milliseconds.

    ``finished`` is None before Dinky's first look, then Flink's -1 ms while the job runs (Dinky shows that as
    1970), then when the job ended or was lost sight of. A ``held`` instance is looked at no more until
    somebody forces a refresh. ``seen`` is when Dinky last wrote down what it saw of the job
    in Flink, ``trouble`` why it did not see it since.
    """

    id: int
    task: TaskSpec
    jid: str
    history_id: int
    created: float
    updated: float
    user: int = ADMIN
    step: int = 1
    status: str = "INITIALIZING"
    error: str | None = None
    finished: float | None = None
    duration: int | None = None
    held: bool = False
    looks: int = 0
    seen: float | None = None
    trouble: str | None = None

    @property
    def done(self) -> bool:
        """Whether Dinky takes the job for ended."""
        return self.status in DONE

    @property
    def looked_at(self) -> bool:
        """Whether Dinky has asked Flink about the job at least once."""
        return self.finished is not None


@dataclass
class History:
    """One submit: written before the job is sent to Flink, so that failed submits and those under way are
    there too."""

    id: int
    task: TaskSpec
    variables: Mapping[str, str]
    savepoint_path: str | None
    started: float
    ended: float
    status: int = STARTING
    jid: str | None = None
    error: str | None = None
    step: int = 1


@dataclass(frozen=True)
class Savepoint:
    """A savepoint that Dinky took and wrote down."""

    id: int
    task_id: int
    kind: str
    path: str
    created: float


@dataclass
class Store:
    """The tables of one database, each by id, oldest first."""

    instances: dict[int, JobInstance] = field(default_factory=dict)
    histories: dict[int, History] = field(default_factory=dict)
    savepoints: dict[int, Savepoint] = field(default_factory=dict)
    _newest: dict[int, JobInstance] = field(default_factory=dict)
    _named: dict[int, JobInstance] = field(default_factory=dict)
    _instance_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _history_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add_history(
        self,
        task: TaskSpec,
        variables: Mapping[str, str],
        savepoint_path: str | None,
        now: float,
        step: int = 1,
    ) -> History:
        """Write down that a submit begins, of a task at this ``step`` (2: published)."""
        row = History(next(self._history_ids), task, dict(variables), savepoint_path, now, now, step=step)
        self.histories[row.id] = row
        return row

    def add_instance(self, history: History, jid: str, now: float, user: int = ADMIN) -> JobInstance:
        """Write down the job a submit started: from now on it is *the* job of its task."""
        row = JobInstance(
            next(self._instance_ids), history.task, jid, history.id, now, now, user, history.step
        )
        self.instances[row.id] = row
        self._newest[history.task.id] = self._named[history.task.id] = row
        return row

    def lose_sequence(self) -> None:
        """Let the next instance's id be behind a gap, as the database of a server that was killed does: it takes
        ids from its sequence 32 at a time."""
        last = max(self.instances, default=0)
        if last:
            self._instance_ids = itertools.count(last - (last - 1) % 32 + 32)

    def add_savepoint(self, task_id: int, kind: str, path: str, now: float) -> Savepoint:
        """Write down a savepoint that was taken."""
        row = Savepoint(len(self.savepoints) + 1, task_id, kind, path, now)
        self.savepoints[row.id] = row
        return row

    def newest(self, task_id: int) -> JobInstance | None:
        """Return the task's newest instance, or None if it never ran."""
        return self._newest.get(task_id)

    def named(self, task_id: int) -> JobInstance | None:
        """Return the instance that the task's row names, which Dinky stops; None if it never ran."""
        return self._named.get(task_id)

    def name(self, instance: JobInstance) -> None:
        """Let the row of its task name this instance, whichever is the newest."""
        self._named[instance.task.id] = instance

    def newest_of_each_task(self) -> list[JobInstance]:
        """Return the newest instance of every task that ever ran, by id."""
        return sorted(self._newest.values(), key=lambda instance: instance.id)
