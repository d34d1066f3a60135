# SPDX-License-Identifier: Apache-2.0
"""The nightly restart of the examples, in a real Airflow, on a job that counts: nothing lost, nothing twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_demo.dinkys import as_environment, watching_clients
from airflow_demo.local_airflow import LocalAirflow
from airflow_demo.sandbox_story import CHECKPOINTED, CONNECTION, STEPS, STREAM
from airflow_demo.story import Player, Stage
from airflow_demo.watching import Watcher
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM, flink_tasks

from .conftest import TIMING, end_all, until
from .orders import rows, sums, wait_for

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).parents[2] / "example_dags"
KEEP_RUNNING, RESTART = "dinky_keep_running", "dinky_restart_with_savepoint"
DEPLOY, CHECK, REPAIR = "dinky_deploy_stream", "dinky_check_streams", "dinky_repair_stream"


@pytest.fixture
def sandbox(flink: FlinkRuntime, turnover: Path) -> Iterator[Sandbox]:
    """A Dinky on a real Flink; the tasks that the examples restart and repair are the one that counts."""
    counting = next(task for task in flink_tasks(turnover) if task.id == TURNOVER_STREAM)
    engine = flink.engine()
    tasks = [dataclasses.replace(counting, id=number) for number in (STREAM, CHECKPOINTED)]
    with Sandbox(engine=engine, tasks=tasks, timing=TIMING) as sandbox:
        yield sandbox
        until(lambda: end_all(flink, engine.jobs))


@pytest.fixture
def stage(sandbox: Sandbox, tmp_path: Path, airflow_database: Path) -> Iterator[Stage]:
    """An Airflow that knows the example DAGs, and a Dinky on a real Flink."""
    connections = {CONNECTION: sandbox.airflow_connection}
    airflow = LocalAirflow(
        tmp_path / "airflow", EXAMPLES, as_environment(connections), database=airflow_database
    )
    with watching_clients(connections) as clients, airflow:
        airflow.start()
        airflow.wait_for_dags({KEEP_RUNNING, RESTART, DEPLOY, CHECK, REPAIR})
        with airflow.api:
            yield Stage(airflow, Watcher(airflow.api, clients, print), {CONNECTION: sandbox})


def test_scheduled_restart_loses_nothing_and_writes_nothing_twice(stage: Stage, turnover: Path) -> None:
    steps = [step for step in STEPS if step.dag_id in (KEEP_RUNNING, RESTART)]

    results = Player(stage, steps).play()

    assert [problem for result in results for problem in result.problems] == []
    restarted = len(rows(turnover))
    assert restarted > 0
    wait_for(turnover, restarted + 15)
    written = rows(turnover)
    assert written == sums(len(written))
    assert len(stage.sandboxes[CONNECTION].engine.jobs) == 2


def test_a_stream_that_fails_is_repaired_by_an_event_and_goes_on_counting(
    stage: Stage, turnover: Path
) -> None:
    wanted = (DEPLOY, CHECK, REPAIR)
    steps = [
        dataclasses.replace(step, after=tuple(before for before in step.after if before in wanted))
        for step in STEPS
        if step.dag_id in wanted
    ]

    results = Player(stage, steps, run_seconds=300.0).play()

    assert [problem for result in results for problem in result.problems] == []
    repaired = len(rows(turnover))
    wait_for(turnover, repaired + 15)
    written = rows(turnover)
    assert written == sums(len(written))
