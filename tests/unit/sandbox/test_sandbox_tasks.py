# SPDX-License-Identifier: Apache-2.0
"""Reading tasks from YAML: what is understood, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.tasks import TaskFileError, TaskSpec, load_tasks

GOOD = """
tasks:
  - id: 10
    name: nightly
    kind: bounded
    runs_for: 3
    sql: INSERT INTO a SELECT * FROM b WHERE day = '${day}'
    variables: {day: 2026-01-01}
  - {id: 11, name: lookup, kind: plain_sql, rows: [{n: 1}]}
  - {id: 12, name: stream, checkpoint_every: 5, retain_checkpoints: on_failure}
"""


def _load(tmp_path: Path, text: str) -> list[TaskSpec]:
    file = tmp_path / "tasks.yaml"
    file.write_text(text, encoding="utf-8")
    return load_tasks(file)


def test_a_task_file(tmp_path: Path) -> None:
    nightly, lookup, stream = _load(tmp_path, GOOD)
    assert (nightly.id, nightly.kind, nightly.runs_for, nightly.dialect) == (10, "bounded", 3, "FlinkSql")
    assert nightly.statement({}) == "INSERT INTO a SELECT * FROM b WHERE day = '2026-01-01'"
    assert nightly.statement({"day": "today"}).endswith("day = 'today'")
    assert (lookup.dialect, lookup.rows) == ("PostgreSql", ({"n": 1},))
    assert (stream.checkpoint_every, stream.retain_checkpoints) == (5, "on_failure")
    assert (nightly.checkpoint_every, nightly.retain_checkpoints) == (None, "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [", "is not YAML"),
        ("[]", "expected 'tasks:'"),
        ("tasks: []", "expected 'tasks:'"),
        ("tasks: [1]", "task number 1"),
        ("tasks: [{id: 1}]", "task 1: field 'name' is missing"),
        ("tasks: [{name: a}]", "task number 1: field 'id' is missing"),
        ("tasks: [{id: one, name: a}]", "task one: id must be int"),
        ("tasks: [{id: true, name: a}]", "id must be int"),
        ("tasks: [{id: 1, name: a, kind: fast}]", "kind is 'fast', must be one of streaming"),
        ("tasks: [{id: 1, name: a, colour: red}]", "unknown field 'colour'"),
        ("tasks: [{id: 1, name: a, runs_for: -1}]", "must not be negative"),
        ("tasks: [{id: 1, name: a, rows: [1]}]", "every entry of rows"),
        ("tasks: [{id: 1, name: a, checkpoint_every: often}]", "must be int or float or null, found 'often'"),
        ("tasks: [{id: 1, name: a, checkpoint_every: true}]", "must be int or float or null, found True"),
        ("tasks: [{id: 1, name: a, checkpoint_every: 0}]", "checkpoint_every must be a number of seconds"),
        ("tasks: [{id: 1, name: a, checkpoint_every: .inf}]", "checkpoint_every must be a number of seconds"),
        ("tasks: [{id: 1, name: a, retain_checkpoints: 1}]", "retain_checkpoints must be str"),
        (
            "tasks: [{id: 1, name: a, retain_checkpoints: yes please}]",
            "must be one of none, on_failure, on_c",
        ),
        ("tasks: [{id: 1, name: a}, {id: 1, name: b}]", "two tasks have this id"),
    ],
)
def test_what_is_wrong_with_a_task_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TaskFileError, match=message.replace("[", r"\[")):
        _load(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="cannot read"):
        load_tasks(tmp_path / "nothing.yaml")


def test_without_fragment_nothing_is_filled_in() -> None:
    task = TaskSpec(1, "plain", sql="SELECT '${a}'", fragment=False)
    assert task.missing_variable({}) is None
    assert task.statement({"a": "b"}) == "SELECT '${a}'"


def test_the_default_tasks_keep_their_ids() -> None:
    assert {task.id: task.name for task in DEFAULT_TASKS} == {
        1: "orders_stream",
        2: "daily_report",
        3: "backfill_day",
        4: "parse_amounts",
        5: "bad_sql",
        6: "count_customers",
        7: "payments_stream",
        8: "missing_table",
        10: "orders_checkpointed",
    }
