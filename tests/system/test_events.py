# SPDX-License-Identifier: Apache-2.0
"""Events in a real Airflow: each change is told once, also if the triggerer dies before, at and after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from tests.flink.conftest import until
from tests.system.dags.events import WATCHED
from tests.system.test_crashes import DAGS

pytestmark = pytest.mark.system

TOLD, KNOWING_STOP = "event_told", "event_knowing_stop"
LOOK = "/openapi/getJobInstanceByTaskId"
SECONDS = 180.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sql = "CREATE TABLE s (a INT) WITH ('connector'='datagen');\nINSERT INTO t SELECT a FROM s;"
    with Sandbox(speed=4.0, tasks=[TaskSpec(WATCHED, "stream", "streaming", sql)]) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, airflow_database: Path
) -> Iterator[LocalAirflow]:
    environment = {
        "AIRFLOW_CONN_DINKY_DEFAULT": sandbox.airflow_connection,
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        # The triggers of a triggerer that has died are given to the next one after so many seconds.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    }
    home = tmp_path_factory.mktemp("airflow") / "home"
    with LocalAirflow(home, DAGS, environment, database=airflow_database) as airflow:
        airflow.start()
        airflow.wait_for_dags({TOLD, KNOWING_STOP})
        with airflow.api:
            yield airflow


class Story:
    """What happens to the job and to Airflow, and what was told."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
        self.airflow, self.sandbox = airflow, sandbox

    def start_job(self) -> str:
        with DinkyHook() as hook:
            jid = hook.submit_task(WATCHED).job_id
        until(lambda: self.sandbox.engine.jobs[-1].state == "RUNNING")
        return str(jid)

    @property
    def looks(self) -> int:
        return sum(request.path == LOOK for request in self.sandbox.requests)

    def is_looked_at(self, times: int = 3) -> None:
        looks = self.looks
        until(lambda: self.looks >= looks + times, SECONDS)

    def runs(self, dag_id: str = TOLD) -> list[dict[str, Any]]:
        return [run for run in self.airflow.api.runs() if run["dag_id"] == dag_id]

    def told(self) -> list[str]:
        """The ids of all events so far, as the DAG that they ran has them."""
        tasks = [task for task in self.airflow.api.task_instances() if task["dag_id"] == TOLD]
        return [event for task in tasks for event in self.airflow.api.xcom(task) or []]

    def is_told(self, count: int) -> None:
        until(lambda: len(self.told()) >= count, SECONDS)


@pytest.fixture
def story(airflow: LocalAirflow, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Story:
    return Story(airflow, sandbox, monkeypatch)


def test_each_change_is_told_once(story: Story) -> None:
    airflow = story.airflow
    first = story.start_job()
    airflow.api.pause(TOLD, False)
    story.is_looked_at()

    # A job fails.
    story.sandbox.kill_job(first, "java.io.IOException: The disk is full")
    story.is_told(1)

    # Another one fails while there is no triggerer.
    second = story.start_job()
    story.is_looked_at(10)
    airflow.kill("triggerer")
    story.sandbox.kill_job(second)
    until(lambda: story.sandbox._core.dinky.store.newest(WATCHED).status == "FAILED", SECONDS)
    airflow.revive("triggerer")
    story.is_told(2)

    # A triggerer that has told of it dies, and the next one finds the job as it was.
    story.is_looked_at(15)
    airflow.kill("triggerer")
    airflow.revive("triggerer")
    story.is_looked_at(10)

    # Airflow stops a job itself, in a task that has the watched asset as inlet; then somebody else does.
    story.start_job()
    story.is_looked_at(10)
    airflow.api.pause(KNOWING_STOP, False)
    airflow.api.trigger(KNOWING_STOP)
    until(lambda: not story.sandbox.engine.jobs[-1].active, SECONDS)
    story.is_looked_at(15)
    story.start_job()
    story.is_looked_at(10)
    with DinkyHook() as hook:
        hook.cancel_task(WATCHED)
    story.is_told(3)
    story.is_looked_at(10)

    told = [event.split("/")[2:4] for event in story.told()]
    assert sorted(told) == [["1", "FAILED"], ["2", "FAILED"], ["4", "CANCELED"]]
