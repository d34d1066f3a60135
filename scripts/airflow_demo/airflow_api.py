# SPDX-License-Identifier: Apache-2.0
"""The little of Airflow's REST API that the demo needs."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any

import requests


class ApiUnavailable(Exception):
    """The API server did not answer (yet)."""


class AirflowApi:
    """Airflow's REST API, signed in.

    :param url: of the API server.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def sick_components(self) -> list[str]:
        """Names of the parts of Airflow that are not well; empty when all are."""
        health = self._call("GET", "/monitor/health")
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return [part for part in parts if (health.get(part) or {}).get("status") != "healthy"]

    def import_errors(self) -> list[str]:
        """Why DAG files could not be read."""
        errors = self._call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def dag_ids(self) -> set[str]:
        """Ids of the DAGs that Airflow knows."""
        return {dag["dag_id"] for dag in self._call("GET", "/dags", params={"limit": 100})["dags"]}

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG, or take it out of its pause."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str) -> str:
        """Run a DAG now; returns the id of the run."""
        now = datetime.now(timezone.utc).isoformat()
        run = {"dag_run_id": f"demo__{now}", "logical_date": now}
        self._call("POST", f"/dags/{dag_id}/dagRuns", json=run, done_before=409)
        return run["dag_run_id"]

    def runs(self) -> list[dict[str, Any]]:
        """The runs of all DAGs, newest first."""
        found: list[dict[str, Any]] = self._call(
            "GET", "/dags/~/dagRuns", params={"order_by": "-id", "limit": 100}
        )["dag_runs"]
        return found

    def task_instances(self) -> list[dict[str, Any]]:
        """Every task instance, newest first."""
        found: list[dict[str, Any]] = self._call(
            "GET", "/dags/~/dagRuns/~/taskInstances", params={"limit": 100, "order_by": "-id"}
        )["task_instances"]
        return found

    def rendered_fields(self, task: dict[str, Any]) -> dict[str, Any]:
        """The parameters of a task instance after templating, as far as they are known yet."""
        # Airflow 3.0 leaves them out of the list of all task instances.
        if not task["rendered_fields"]:
            task = self._call("GET", f"{_path(task)}/{task['map_index']}")
        fields: dict[str, Any] = task["rendered_fields"]
        return fields

    def end(self, task: dict[str, Any], state: str = "failed") -> None:
        """Mark a task instance as ended, as a user does in the web page."""
        self._call("PATCH", _path(task), json={"new_state": state})

    def xcom(self, task: dict[str, Any], key: str = "return_value") -> Any:
        """An XCom of a task instance; None where there is none."""
        entry = self._call("GET", f"{_path(task)}/xcomEntries/{key}", missing={"value": None})
        value = entry["value"]
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value

    def log(self, task: dict[str, Any]) -> str:
        """The log of the newest try of a task instance."""
        path = f"{_path(task)}/logs/{task['try_number']}"
        one_of_many = {"full_content": True, "map_index": task.get("map_index", -1)}
        content = self._call("GET", path, params=one_of_many)["content"]
        return "\n".join(_text(line) for line in content) if isinstance(content, list) else str(content)

    def links(self, task: dict[str, Any]) -> dict[str, str | None]:
        """The extra links of a task instance."""
        found: dict[str, str | None] = self._call("GET", f"{_path(task)}/links")["extra_links"]
        return found

    def _call(self, method: str, path: str, missing: Any = None, done_before: int = 0, **options: Any) -> Any:
        """Everything asked here may be asked again: SQLite is not always free in time, which gives HTTP 500."""
        for seconds in (0.5, 1.0, 2.0, 4.0, 0.0):
            try:
                response = self._signed_in().request(
                    method, f"{self._url}/api/v2{path}", timeout=60, **options
                )
            except requests.RequestException as error:
                raise ApiUnavailable(str(error)) from error
            if response.status_code < 500:
                break
            time.sleep(seconds)
        else:
            raise ApiUnavailable(f"{method} {path}: HTTP {response.status_code}")
        if response.status_code == 404 and missing is not None:
            return missing
        if not response.ok and response.status_code != done_before:
            raise RuntimeError(f"{method} {path}: HTTP {response.status_code}: {response.text[:500]}")
        return response.json()

    def _signed_in(self) -> requests.Session:
        if "Authorization" not in self._session.headers:
            response = self._session.post(f"{self._url}/auth/token", json=self._credentials, timeout=20)
            response.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return self._session


def _path(task: dict[str, Any]) -> str:
    return f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"


def _text(line: Any) -> str:
    if not isinstance(line, dict):
        return str(line)
    details = line.get("error_detail") or []
    errors = "".join(f"\n{one.get('exc_type')}: {one.get('exc_value')}" for one in details)
    return f"{line.get('event', '')}{errors}"
