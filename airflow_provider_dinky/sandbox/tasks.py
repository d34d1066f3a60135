# SPDX-License-Identifier: Apache-2.0
"""The Dinky tasks that a sandbox serves: what one is, and reading them from YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["streaming", "bounded", "failing", "rejected", "plain_sql"]
KINDS: tuple[str, ...] = get_args(Kind)

Retention = Literal["none", "on_failure", "on_cancellation"]
RETENTIONS: tuple[str, ...] = get_args(Retention)

APPLICATION_TYPES = ("kubernetes-application", "yarn-application", "yarn-per-job")
TYPES = ("local", "standalone", "yarn-session", "kubernetes-session", *APPLICATION_TYPES)

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_STREAM_SQL = """\
CREATE TABLE src (id BIGINT, name STRING) WITH ('connector'='datagen','rows-per-second'='1');
CREATE TABLE snk (id BIGINT, name STRING) WITH ('connector'='blackhole');
INSERT INTO snk SELECT id, name FROM src;"""


class TaskFileError(ValueError):
    """A task file says something that cannot be meant; the message names the task and the field."""


@dataclass(frozen=True)
class TaskSpec:
    """One Dinky task and how its job behaves.

    :param id: Dinky's id of the task.
    :param name: name of the task and of its jobs.
    :param kind: ``streaming`` runs until it is stopped; ``bounded`` finishes after ``runs_for`` seconds;
        ``failing`` fails after ``fails_after`` seconds; ``rejected`` is SQL that Flink does not accept;
        ``plain_sql`` is a database statement that is done when the submit answers.
    :param type: what kind of cluster its job runs on, in Dinky's words. In application and per-job mode
        (``kubernetes-application``, ``yarn-application``, ``yarn-per-job``) the cluster ends with the job.
    :param sql: the statement; ``${name}`` stands for a variable.
    :param dialect: Dinky's name of the language; by default FlinkSql, for ``plain_sql`` PostgreSql.
    :param runs_for: seconds until a bounded job is FINISHED.
    :param fails_after: seconds until a failing job is FAILED.
    :param error: why it fails: ``java.lang.SomeException: message``, or only the message.
    :param fragment: whether ``${name}`` is filled in at all (Dinky's "fragment" switch).
    :param variables: values the server knows by itself; a submit's own variables win.
    :param rows: what a plain SQL statement returns. Rows with the one column ``status`` are update counts.
    :param lineage: what Dinky tells of the lineage of its job instances: ``{tables: [...], relations: [...]}``.
    :param checkpoint_every: seconds between the checkpoints of a running job; None for no checkpoints.
    :param parallelism: how many tasks its job has.
    :param retain_checkpoints: whether the newest checkpoint stays when the job has ended: ``none``: never;
        ``on_failure``: if it failed (Flink's DELETE_ON_CANCELLATION); ``on_cancellation``: if it failed or was
        cancelled (RETAIN_ON_CANCELLATION). Of a job that has finished it never stays.
    """

    id: int
    name: str
    kind: Kind = "streaming"
    sql: str = _STREAM_SQL
    dialect: str = ""
    runs_for: float = 10.0
    fails_after: float = 1.0
    error: str | None = None
    fragment: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    lineage: Mapping[str, Any] | None = None
    type: str = "standalone"
    checkpoint_every: float | None = None
    parallelism: int = 1
    retain_checkpoints: Retention = "none"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("type", self.type, TYPES),
            ("retain_checkpoints", self.retain_checkpoints, RETENTIONS),
        ):
            if value not in known:
                raise TaskFileError(f"task {self.id}: {name} is {value!r}, must be one of {', '.join(known)}")
        if self.checkpoint_every is not None and not 0 < self.checkpoint_every < math.inf:
            raise TaskFileError(
                f"task {self.id}: checkpoint_every must be a number of seconds, found {self.checkpoint_every!r}"
            )
        if not self.dialect:
            object.__setattr__(self, "dialect", "PostgreSql" if self.is_plain_sql else "FlinkSql")

    @property
    def is_plain_sql(self) -> bool:
        """Whether a database runs it, not Flink: there is never a job then."""
        return self.kind == "plain_sql"

    @property
    def is_application(self) -> bool:
        """Whether each job has a cluster of its own, which ends with it."""
        return self.type in APPLICATION_TYPES

    def missing_variable(self, given: Mapping[str, str]) -> str | None:
        """Return the first ``${name}`` for which there is no value, or None."""
        known = {**self.variables, **given}
        names = _PLACEHOLDER.findall(self.sql) if self.fragment else []
        return next((name for name in names if name not in known), None)

    def statement(self, given: Mapping[str, str]) -> str:
        """Return the SQL with the variables filled in, if the task's "fragment" is on."""
        if not self.fragment:
            return self.sql
        known = {**self.variables, **given}
        return _PLACEHOLDER.sub(lambda match: known[match.group(1)], self.sql)


def load_tasks(file: str | Path) -> list[TaskSpec]:
    """Read tasks from a YAML file: ``tasks:`` with a list of mappings, one a task.

    The fields are those of :class:`TaskSpec`; ``id`` and ``name`` are needed. Raises
    :class:`TaskFileError` with a message for the person who wrote the file.
    """
    import yaml

    try:
        document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskFileError(f"cannot read {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise TaskFileError(f"{file} is not YAML: {error}") from error
    entries = document.get("tasks") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise TaskFileError(f"{file}: expected 'tasks:' with a list of tasks")
    return checked_tasks(_task(entry, position) for position, entry in enumerate(entries, start=1))


def checked_tasks(tasks: Iterable[TaskSpec]) -> list[TaskSpec]:
    """Return the tasks as a list; raise :class:`TaskFileError` where two share an id."""
    checked: dict[int, TaskSpec] = {}
    for task in tasks:
        if task.id in checked:
            raise TaskFileError(f"task {task.id}: two tasks have this id")
        checked[task.id] = task
    return list(checked.values())


def _task(entry: Any, position: int) -> TaskSpec:
    if not isinstance(entry, dict):
        raise TaskFileError(f"task number {position}: expected fields like 'id: 1', found {entry!r}")
    label = f"task {entry.get('id', f'number {position}')}"
    known = {spec.name for spec in fields(TaskSpec)}
    for key, value in entry.items():
        if key not in known:
            raise TaskFileError(f"{label}: unknown field {key!r}; known are {', '.join(sorted(known))}")
        _check_field(label, key, value)
    for key in ("id", "name"):
        if key not in entry:
            raise TaskFileError(f"{label}: field {key!r} is missing")
    values: dict[str, Any] = dict(entry)
    if "variables" in values:
        values["variables"] = {str(name): str(value) for name, value in values["variables"].items()}
    if "rows" in values:
        values["rows"] = tuple(values["rows"])
    return TaskSpec(**values)


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "id": (int,),
    "name": (str,),
    "kind": (str,),
    "sql": (str,),
    "dialect": (str,),
    "type": (str,),
    "runs_for": (int, float),
    "fails_after": (int, float),
    "error": (str,),
    "fragment": (bool,),
    "variables": (dict,),
    "rows": (list,),
    "lineage": (dict, type(None)),
    "checkpoint_every": (int, float, type(None)),
    "parallelism": (int,),
    "retain_checkpoints": (str,),
}


def _check_field(label: str, key: str, value: Any) -> None:
    expected = _FIELD_TYPES[key]
    is_stray_bool = isinstance(value, bool) and bool not in expected
    fits: bool = isinstance(value, expected)
    if not fits or is_stray_bool:
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in expected)
        raise TaskFileError(f"{label}: {key} must be {names}, found {value!r}")
    if key in ("runs_for", "fails_after") and value < 0:
        raise TaskFileError(f"{label}: {key} must not be negative, found {value!r}")
    if key == "rows" and not all(isinstance(row, dict) for row in value):
        raise TaskFileError(f"{label}: every entry of rows must be a mapping of column to value")
