# SPDX-License-Identifier: Apache-2.0
"""The example DAGs do in a real Airflow what they say; ``airflow_demo.sandbox_story`` says what that is."""

from __future__ import annotations

import pytest

from airflow_demo.sandbox_story import STEPS
from airflow_demo.story import Result, Stage
from tests.system.conftest import ESSENTIAL, EXAMPLES

pytestmark = pytest.mark.system


@pytest.mark.essential
def test_every_example_is_played() -> None:
    assert {f"dinky_{file.stem}" for file in EXAMPLES.glob("*.py")} == {step.dag_id for step in STEPS}


@pytest.mark.parametrize(
    "dag_id",
    [
        pytest.param(step.dag_id, marks=[pytest.mark.essential] if step.dag_id == ESSENTIAL else [])
        for step in STEPS
    ],
)
def test_example_does_what_it_says(results: dict[str, Result], dag_id: str) -> None:
    assert results[dag_id].problems == []


def test_nothing_but_the_failing_job_failed(results: dict[str, Result]) -> None:
    failed = [
        name
        for result in results.values()
        if result.scene is not None
        for task in result.scene.tasks.values()
        for name in [task.name]
        if {"failed", "up_for_retry"} & set(task.states)
    ]
    assert failed == ["dinky_failing_job.submit"]


@pytest.mark.parametrize(
    ("dag_id", "task_id", "deferred"),
    [
        pytest.param("dinky_submit_and_wait", "wait", True, marks=pytest.mark.essential),
        ("dinky_savepoint_then_submit_elsewhere", "submit", True),
        ("dinky_variables_and_templates", "backfill", False),
        ("dinky_keep_running", "ensure_running", False),
    ],
)
def test_who_waits_where(results: dict[str, Result], dag_id: str, task_id: str, deferred: bool) -> None:
    scene = results[dag_id].scene
    assert scene is not None
    assert ("Pausing task as DEFERRED" in scene.log(task_id)) is deferred


def test_running_job_is_shown_by_a_link(results: dict[str, Result], stage: Stage) -> None:
    scene = results["dinky_keep_running"].scene
    assert scene is not None
    links = stage.airflow.api.links(scene.tasks["ensure_running"].info)
    sandbox = stage.sandboxes["dinky_default"]
    instance_id = scene.xcom("ensure_running")
    assert links["Dinky job"] == f"{sandbox.url}/#/devops/job-detail?id={instance_id}"
    assert links["Flink job"] == f"{sandbox.url}/#/job/{scene.xcom('ensure_running', 'job_id')}/overview"
