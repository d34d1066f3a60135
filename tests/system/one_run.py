# SPDX-License-Identifier: Apache-2.0
"""One run of a DAG whose only task starts the job of one Dinky task, seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.engine import JobRecord

SECONDS = 180.0


class OneRun:
    """Triggers the DAG; then tells of its task and its jobs as they are at any time."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, dag_id: str, dinky_task_id: int) -> None:
        self.airflow, self.sandbox, self.dinky_task_id = airflow, sandbox, dinky_task_id
        self.dag_id = dag_id
        airflow.api.pause(dag_id, False)
        self.run_id = airflow.api.trigger(dag_id)

    @property
    def task(self) -> dict[str, Any]:
        found = [t for t in self.airflow.api.task_instances() if t["dag_run_id"] == self.run_id]
        return found[0] if found else {"state": None}

    @property
    def jobs(self) -> list[JobRecord]:
        return [job for job in self.sandbox.engine.jobs if job.task_id == self.dinky_task_id]

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.sandbox.requests)

    def until(self, what: Callable[[], Any], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"{self.dag_id} is {self.task['state']}, jobs {self.jobs}"
            time.sleep(0.1)

    def ended(self) -> dict[str, Any]:
        """The task once it has succeeded or failed."""
        self.until(lambda: self.task["state"] in ("success", "failed"))
        return self.task
