# SPDX-License-Identifier: Apache-2.0
"""A real Airflow in which the example DAGs were run once, by the machinery of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_demo.dinkys import as_environment, two_sandboxes, watching_clients
from airflow_demo.local_airflow import LocalAirflow
from airflow_demo.sandbox_story import STEPS
from airflow_demo.story import Player, Result, Stage
from airflow_demo.watching import Watcher

EXAMPLES = Path(__file__).parents[2] / "example_dags"
ESSENTIAL = "dinky_submit_and_wait"
"""The example that is run also where not everything is: its tasks wait on a worker and in the triggerer."""


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Iterator[Stage]:
    """An Airflow that knows the example DAGs, and two sandboxes."""
    folder = tmp_path_factory.mktemp("airflow")
    with two_sandboxes(folder / "savepoints") as sandboxes:
        connections = {name: sandbox.airflow_connection for name, sandbox in sandboxes.items()}
        environment = as_environment(connections)
        airflow = LocalAirflow(folder / "home", EXAMPLES, environment, database=airflow_database)
        with watching_clients(connections) as clients, airflow:
            airflow.start()
            airflow.wait_for_dags({step.dag_id for step in STEPS})
            with airflow.api:
                yield Stage(airflow, Watcher(airflow.api, clients, print), sandboxes)


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest, stage: Stage) -> dict[str, Result]:
    """How the run of each example DAG went, by its id; only one if only the essential tests are run."""
    asking = [item for item in request.session.items if "results" in getattr(item, "fixturenames", ())]
    only_essential = all(any(item.iter_markers("essential")) for item in asking)
    steps = [step for step in STEPS if step.dag_id == ESSENTIAL] if only_essential else STEPS
    return {result.step.dag_id: result for result in Player(stage, steps).play()}
