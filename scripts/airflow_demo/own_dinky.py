# SPDX-License-Identifier: Apache-2.0
"""The demo against one's own Dinky, with one task of it. It never stops a job that it has not started."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_demo.story import Scene, Step
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.models import JobInstance

RUN_SECONDS = 900.0
"""On YARN or Kubernetes a start takes minutes."""
KEEP_RUNNING, RESTART, CANCEL = (
    "dinky_keep_running",
    "dinky_restart_with_savepoint",
    "dinky_cancel_at_end_of_day",
)


@dataclass(frozen=True)
class OwnDinky:
    """What the user has given of it."""

    url: str
    dinky_task_id: int
    connection: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> OwnDinky | None:
        """Out of ``DINKY_URL`` and its companions; None without that.

        :raises ValueError: something is missing or makes no sense, and what.
        """
        url = environment.get("DINKY_URL", "").strip().rstrip("/")
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"DINKY_URL must look like http://dinky.example.com:8888, not {url!r}")
        task_id = environment.get("DINKY_TASK_ID", "").strip()
        if not task_id.isdigit():
            raise ValueError("DINKY_URL needs DINKY_TASK_ID, the id of one of its tasks")
        token, user = environment.get("DINKY_TOKEN"), environment.get("DINKY_USER")
        if user and not environment.get("DINKY_PASSWORD"):
            raise ValueError("DINKY_USER needs DINKY_PASSWORD")
        connection = {
            "conn_type": "dinky",
            "host": parts.hostname + parts.path,
            "port": parts.port or (443 if parts.scheme == "https" else 80),
            "schema": parts.scheme,
            "login": user,
            "password": environment.get("DINKY_PASSWORD") if user else token,
            "extra": json.dumps({"tenant_id": environment.get("DINKY_TENANT_ID") or 1}),
        }
        return cls(url, int(task_id), json.dumps(connection))


@dataclass(frozen=True)
class Plan:
    """What will be done, which depends on whether the task has a job now."""

    own: OwnDinky
    version: str
    who: str
    job: JobInstance | None

    @classmethod
    def make(cls, own: OwnDinky, client: DinkyClient) -> Plan:
        """Look at the Dinky.

        :raises DinkyError: it cannot be used, or has no such task.
        """
        version = client.send(calls.version())
        config = client.config
        who = "anonymously"
        if config.has_credentials:
            client.send(calls.list_latest_job_instances(limit=1))
            who = f"as '{config.username}'" if config.username else "with a token"
        return cls(own, version, who, client.send(calls.get_latest_job_instance(own.dinky_task_id)))

    @property
    def runs_already(self) -> bool:
        """Whether the task has a job, which then is not ours to stop."""
        return self.job is not None and self.job.status.is_active

    def explain(self) -> str:
        """It for the user, before anything is done."""
        task = f"Dinky task {self.own.dinky_task_id}"
        lines = [f"Dinky {self.version} at {self.own.url}, used {self.who}. What will be done there:"]
        if self.runs_already and self.job is not None:
            lines += [
                f"  {task} has a job, instance {self.job.id}, {self.job.status}.",
                f"  1. {KEEP_RUNNING}: follows it until it is RUNNING. Nothing is started.",
                "  It is not restarted and not stopped, since the demo has not started it.",
            ]
        else:
            lines += [
                f"  {task} has no active job.",
                f"  1. {KEEP_RUNNING}: submits it, and follows the job until it is RUNNING.",
                f"  2. {RESTART}: stops that job with a savepoint and starts it again from there.",
                f"  3. {CANCEL}: cancels the job, so that all is as before.",
                "  A task that is done at once (plain SQL, a short batch) ends after the first step.",
            ]
        if self.who.startswith("as "):
            lines.append("  Signing in ends other sessions of this Dinky user.")
        return "\n".join(lines)

    def environment(self) -> dict[str, str]:
        """The Airflow Variable that the example DAGs read."""
        return {"AIRFLOW_VAR_DINKY_STREAM_TASK": str(self.own.dinky_task_id)}


def first_steps() -> tuple[Step, ...]:
    """What is done in any case."""
    return (Step(KEEP_RUNNING, _keep_running),)


def further_steps() -> tuple[Step, ...]:
    """What is done to a job that the demo itself has started and that runs."""
    return (
        Step(RESTART, _restart),
        Step(CANCEL, _cancel, (RESTART,), in_any_case=True, settled=_is_over),
    )


def _keep_running(scene: Scene) -> Iterator[str]:
    job = scene.tasks["ensure_running"].job
    if job is None and scene.xcom("ensure_running", "result") is None:
        yield "there is neither a job nor the result of plain SQL"
    if job is not None and job.state not in ("RUNNING", "FINISHED"):
        yield f"the job is {job.state}"


def _restart(scene: Scene) -> Iterator[str]:
    job = scene.tasks["restart"].job
    if job is None or job.state not in ("RUNNING", "FINISHED"):
        yield f"the new job is {job.state if job else 'not there'}"
    had_ended_before = "restart is a plain start" in scene.log("restart")
    if not scene.xcom("restart", "savepoint_path") and not had_ended_before:
        yield "it was not started from a savepoint"


def _is_over(scene: Scene) -> bool:
    job = scene.tasks["cancel"].job
    return job is not None and job.is_final


def _cancel(scene: Scene) -> Iterator[str]:
    job = scene.tasks["cancel"].job
    if job is None or job.state not in ("CANCELED", "FINISHED"):
        yield f"the job is {job.state if job else 'not there'}, not CANCELED"
