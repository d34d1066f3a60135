# SPDX-License-Identifier: Apache-2.0
"""The table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_demo.story import Result
from airflow_demo.watching import TaskSeen

HEAD = ("task", "Airflow", "job", "job states seen", "savepoint", "result")


def table(results: Iterable[Result]) -> str:
    """One row for each Airflow task; below it what went wrong."""
    rows: list[Sequence[str]] = []
    wrong: list[str] = []
    for result in results:
        wrong += [f"{result.step.dag_id}: {problem}" for problem in result.problems]
        verdict = "WRONG" if result.problems else "as expected"
        if result.scene is None or not result.scene.tasks:
            rows.append((_short(result.step.dag_id), "", "", "", "", verdict))
            continue
        tasks = sorted(result.scene.tasks.values(), key=lambda task: task.info["start_date"] or "~")
        rows += [
            _row(task, result.scene.xcom(task.info["task_id"], "savepoint_path"), verdict) for task in tasks
        ]
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    rule = "  ".join("-" * width for width in widths)
    lines = [_line(HEAD, widths), rule, *(_line(row, widths) for row in rows), rule]
    return "\n".join([*lines, *wrong])


def _row(task: TaskSeen, savepoint: str | None, verdict: str) -> tuple[str, ...]:
    job = task.job
    return (
        _short(task.name),
        task.state,
        job.name.removeprefix("job ") if job else "-",
        " > ".join(job.states) if job else "-",
        savepoint.rstrip("/").rpartition("/")[2] if savepoint else "-",
        verdict,
    )


def _short(name: str) -> str:
    return name.removeprefix("dinky_")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
