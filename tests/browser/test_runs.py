# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def started(airflow: LocalAirflow) -> Callable[[str], str]:
    """Triggers a DAG and returns the address of the run's page."""

    def start(dag_id: str) -> str:
        airflow.api.pause(dag_id, False)
        return f"{airflow.url}/dags/{dag_id}/runs/{quote(airflow.api.trigger(dag_id))}"

    return start


def test_a_running_task_links_to_dinky_and_to_flink(
    started: Callable[[str], str], page: Page, sandbox: Sandbox, shoot: Callable[..., None]
) -> None:
    run = started("follow_a_stream")
    page.goto(f"{run}/tasks/orders/details")
    to_dinky = page.get_by_role("link", name="Dinky job")
    to_dinky.wait_for()
    page.get_by_text("Running").first.wait_for()
    shoot("running-task-links")
    job = sandbox.engine.jobs[-1]
    targets = {
        name: page.get_by_role("link", name=name).get_attribute("href") for name in ("Dinky job", "Flink job")
    }
    assert targets["Flink job"] == f"{sandbox.url}/#/job/{job.jid}/overview"

    page.goto(str(targets["Dinky job"]))
    page.get_by_text("Job instance #1 of orders_stream").wait_for()
    page.goto(str(targets["Flink job"]))
    page.get_by_text(job.jid).wait_for()
    sandbox.finish_job(job.jid)


def test_the_grid_shows_the_run_and_the_log_ends_with_the_root_cause(
    started: Callable[[str], str], page: Page, shoot: Callable[..., None]
) -> None:
    run = started("parse_amounts")
    page.goto(run)
    page.get_by_text("Failed").first.wait_for()
    # The grid: a cell for each task of each run, which leads to it.
    page.locator('a[href*="/tasks/parse"]').first.wait_for()

    page.set_viewport_size({"width": 1500, "height": 900})
    page.goto(f"{run}/tasks/parse")
    page.get_by_text("Following job instance").wait_for()
    error = page.get_by_text("JobFailedError: Job instance")
    error.wait_for()
    page.get_by_text("State of job instance").first.wait_for()
    # Without the frames of the stack, whose paths are this machine's.
    shoot("failed-log", down_to=error)
    assert "is FAILED: java.lang." in error.inner_text()
    said = page.locator("body").inner_text()
    assert said.rindex("State of job instance") < said.rindex("is FAILED: java.lang.")
