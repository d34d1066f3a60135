# SPDX-License-Identifier: Apache-2.0
"""DAGs of a real Airflow, scheduler and triggerer included, on a live Dinky."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

from .live_dinky import LiveDinky, LiveTask, until
from .running import GUARD, Run, Way
from .statements import batch, counting_stream, failing

pytestmark = [pytest.mark.system, pytest.mark.keep_jobs]

DAGS = Path(__file__).parent / "dags"
WAYS = ("authenticated", "anonymous")


@pytest.fixture(scope="module")
def tasks(live: LiveDinky, ways: dict[str, Way]) -> Iterator[dict[str, LiveTask]]:
    """The Dinky tasks of the DAGs, by the environment variable that names them."""
    statements = {"BATCH": batch(), "FAILING": failing(), "STREAM": counting_stream()}
    yield {f"LIVE_{kind}_{way.upper()}": live.task(sql) for kind, sql in statements.items() for way in WAYS}
    live.clean_up()


@pytest.fixture(scope="module")
def has_savepoints(live: LiveDinky, ways: dict[str, Way]) -> bool:
    """Whether this Dinky takes savepoints."""
    task = live.task(counting_stream())
    Run(ways["authenticated"].of(SubmitTaskOperator, dinky_task_id=task.id))()
    task.wait_for_rows(task.running()[0])
    return not live.why_no_savepoints(task)


@pytest.fixture(scope="module")
def airflow(
    tasks: dict[str, LiveTask], has_savepoints: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """An Airflow that knows the DAGs and the connections."""
    environment = {name: str(task.id) for name, task in tasks.items()}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_LIVE")}
    if has_savepoints:
        environment["LIVE_SAVEPOINTS"] = "yes"
    with LocalAirflow(tmp_path_factory.mktemp("airflow") / "home", DAGS, environment) as airflow:
        airflow.start()
        airflow.wait_for_dags(
            {f"{kind}_{way}" for kind in ("batch", "soft", "stream") for way in WAYS}, 120.0
        )
        with airflow.api:
            yield airflow


def _run(airflow: LocalAirflow, dag_id: str) -> dict[str, Any]:
    """States of the tasks, once the run is over."""
    airflow.api.pause(dag_id, False)
    run_id = airflow.api.trigger(dag_id)

    def states() -> dict[str, Any]:
        mine = [task for task in airflow.api.task_instances() if task["dag_run_id"] == run_id]
        return {task["task_id"]: task["state"] for task in mine}

    over = {"success", "failed", "skipped", "upstream_failed"}
    until(lambda: (found := states()) and set(found.values()) <= over, GUARD, dag_id)
    return states()


@pytest.mark.parametrize("way", WAYS)
def test_submit_and_a_deferred_sensor(airflow: LocalAirflow, tasks: dict[str, LiveTask], way: str) -> None:
    assert set(_run(airflow, f"batch_{way}").values()) == {"success"}

    assert [job["state"] for job in tasks[f"LIVE_BATCH_{way.upper()}"].jobs()] == ["FINISHED"]


@pytest.mark.parametrize("way", WAYS)
def test_a_rescheduled_sensor_skips_softly(airflow: LocalAirflow, way: str) -> None:
    assert _run(airflow, f"soft_{way}") == {"submit": "success", "sense": "skipped"}


@pytest.mark.parametrize("way", WAYS)
def test_stop_start_restart_savepoint_start(
    airflow: LocalAirflow, tasks: dict[str, LiveTask], has_savepoints: bool, way: str
) -> None:
    assert set(_run(airflow, f"stream_{way}").values()) == {"success"}

    task = tasks[f"LIVE_STREAM_{way.upper()}"]
    (left,) = task.running()
    assert len(task.jobs()) == (4 if has_savepoints else 2)
    if has_savepoints:
        assert task.restored_from(left)
