# SPDX-License-Identifier: Apache-2.0
"""What happens, as it happens: the state of every Airflow task and of the Dinky job that it deals with."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_demo.airflow_api import AirflowApi
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed"})
_HAS_BEGUN = frozenset({"running", "deferred", "up_for_retry", "up_for_reschedule", *ENDED})
_ACTS_ON_NEWEST = frozenset({"CancelTaskOperator", "SavepointTaskOperator"})


@dataclass
class JobSeen:
    """A Dinky job instance and the states it was seen in, in order.

    :param owner: the Airflow task that took it up last, with which its changes are told.
    """

    connection: str
    instance_id: int
    states: list[str] = field(default_factory=list)
    owner: TaskSeen | None = None

    @property
    def name(self) -> str:
        """Its id, and the connection to its Dinky unless that is the usual one."""
        dinky = "" if self.connection == DEFAULT_CONNECTION else f" ({self.connection})"
        return f"job {self.instance_id}{dinky}"

    @property
    def state(self) -> str:
        """Its last known state."""
        return self.states[-1] if self.states else ""

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return bool(self.states) and JobStatus(self.state).is_final


@dataclass
class TaskSeen:
    """An Airflow task instance, the states it was seen in, and its job."""

    info: dict[str, Any]
    states: list[str] = field(default_factory=list)
    job: JobSeen | None = None
    told: tuple[str, str] = ("", "")
    all_is_known: bool = False

    @property
    def name(self) -> str:
        """The DAG's and its own."""
        return f"{self.info['dag_id']}.{self.info['task_id']}"

    @property
    def state(self) -> str:
        """Its last known state."""
        return self.states[-1] if self.states else ""


class Watcher:
    """Looks at Airflow and Dinky and says what has changed.

    :param clients: a Dinky client for each Airflow connection.
    :param say: takes one line for each change.
    :param began: from when the seconds in these lines count (``time.monotonic()``).
    """

    def __init__(
        self,
        api: AirflowApi,
        clients: Mapping[str, DinkyClient],
        say: Callable[[str], None],
        began: float | None = None,
    ) -> None:
        self._api = api
        self._clients = clients
        self._say = say
        self._began = time.monotonic() if began is None else began
        self._jobs: dict[tuple[str, int], JobSeen] = {}
        self.tasks: dict[str, TaskSeen] = {}

    def look(self) -> None:
        """Take in what there is now, and tell what is new."""
        for info in self._api.task_instances():
            task = self.tasks.setdefault(info["id"], TaskSeen(info))
            task.info = info
            if info["state"] not in (None, task.state):
                task.states.append(info["state"])
            if task.state in _HAS_BEGUN and not task.all_is_known:
                self._take_up_job(task)
                task.all_is_known = task.state in ENDED
        for job in self._jobs.values():
            self._ask(job)
        for task in self.tasks.values():
            self._tell(task)

    def run_of(self, dag_id: str, run_id: str) -> dict[str, TaskSeen]:
        """The tasks of a DAG run, by their ids."""
        return {
            task.info["task_id"]: task
            for task in self.tasks.values()
            if (task.info["dag_id"], task.info["dag_run_id"]) == (dag_id, run_id)
        }

    def _take_up_job(self, task: TaskSeen) -> None:
        if task.job is not None:
            return
        rendered = self._api.rendered_fields(task.info)
        connection = str(rendered.get("dinky_conn_id") or "")
        if connection not in self._clients:
            return
        instance_id = self._instance_of(task, rendered, self._clients[connection])
        if instance_id is not None:
            key = (connection, instance_id)
            task.job = self._jobs.setdefault(key, JobSeen(connection, instance_id))
            task.job.owner = task

    def _instance_of(self, task: TaskSeen, rendered: Mapping[str, Any], client: DinkyClient) -> int | None:
        if task.info["operator"] in _ACTS_ON_NEWEST:
            with contextlib.suppress(DinkyError):
                newest = client.send(calls.get_latest_job_instance(int(rendered["dinky_task_id"])))
                return newest.id if newest else None
            return None
        known = self._api.xcom(task.info, "job_instance_id")
        if known is not None:
            return int(known)
        link = re.search(r"id=(\d+)$", str(self._api.xcom(task.info, "dinky_job_link")))
        return int(link.group(1)) if link else None

    def _ask(self, job: JobSeen) -> None:
        if job.is_final:
            return
        with contextlib.suppress(DinkyError):
            state = str(self._clients[job.connection].send(calls.get_job_instance(job.instance_id)).status)
            if state != job.state:
                job.states.append(state)

    def _tell(self, task: TaskSeen) -> None:
        job = task.job
        job_state = task.told[1]
        if job is not None and job.owner is task:
            job_state = job.state
        now = (task.state, job_state)
        if now == task.told:
            return
        task.told = now
        seconds = time.monotonic() - self._began
        about_job = f"{job.name:<6}  {job_state}" if job else ""
        where = f"{task.info['dag_id']:<38} {task.info['task_id']:<16}"
        self._say(f"{seconds:6.1f} s  {where} {task.state:<9}  {about_job}".rstrip())
