# SPDX-License-Identifier: Apache-2.0
"""Clients that watch a Dinky from outside of Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from airflow_demo.sandbox_story import CONNECTION, OTHER_CONNECTION, REPORT
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.hooks.connection import read_connection
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.default_tasks import DEFAULT_TASKS
from airflow_provider_dinky.sandbox.flink.runtime import TIMING, FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import flink_tasks

SPEED = 4.0
"""Times as fast as a real Dinky: a look at a job every 4 to 10 s becomes one every 1 to 2.5 s."""
# The same on a real Flink, which cannot be sped up: Dinky only looks as often.
QUICK_LOOKS = replace(TIMING, first_look=(0.3, 2.0), look_every=(1.0, 2.5))
TASKS = tuple(
    # Long enough for Airflow to see it run, at this speed.
    replace(task, runs_for=80.0) if task.id == REPORT else task
    for task in DEFAULT_TASKS
)


@contextmanager
def two_sandboxes(savepoints: Path) -> Iterator[dict[str, Sandbox]]:
    """Two sandboxes that share their savepoints, by the names of the connections that lead to them."""
    with ExitStack() as stack:
        names = (CONNECTION, OTHER_CONNECTION)
        yield {
            name: stack.enter_context(Sandbox(speed=SPEED, tasks=TASKS, savepoints=savepoints))
            for name in names
        }


@contextmanager
def two_on_flink(flink: FlinkRuntime, folder: Path) -> Iterator[dict[str, Sandbox]]:
    """Two sandboxes on the same real Flink, by the names of the connections that lead to them."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Sandbox(engine=flink.engine(), tasks=flink_tasks(folder / name), timing=QUICK_LOOKS)
            )
            for name in (CONNECTION, OTHER_CONNECTION)
        }


@contextmanager
def watching_clients(connections: Mapping[str, str]) -> Iterator[dict[str, DinkyClient]]:
    """A client for each Airflow connection, given as JSON."""
    fields = dict.fromkeys(("host", "port", "schema", "login", "password", "extra"))
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                DinkyClient(
                    read_connection(SimpleNamespace(**{**fields, "conn_id": name, **json.loads(connection)})),
                    NO_RETRY,
                )
            )
            for name, connection in connections.items()
        }


def as_environment(connections: Mapping[str, str]) -> dict[str, str]:
    """The connections as Airflow reads them."""
    return {f"AIRFLOW_CONN_{name.upper()}": connection for name, connection in connections.items()}
