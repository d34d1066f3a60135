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


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An Airflow that knows the example DAGs, and two sandboxes."""
    folder = tmp_path_factory.mktemp("airflow")
    with two_sandboxes(folder / "savepoints") as sandboxes:
        connections = {name: sandbox.airflow_connection for name, sandbox in sandboxes.items()}
        airflow = LocalAirflow(folder / "home", EXAMPLES, as_environment(connections))
        with watching_clients(connections) as clients, airflow:
            airflow.start()
            airflow.wait_for_dags({step.dag_id for step in STEPS})
            with airflow.api:
                yield Stage(airflow, Watcher(airflow.api, clients, print), sandboxes)


@pytest.fixture(scope="session")
def results(stage: Stage) -> dict[str, Result]:
    """How the run of each example DAG went, by its id."""
    return {result.step.dag_id: result for result in Player(stage, STEPS).play()}
