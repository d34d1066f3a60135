# SPDX-License-Identifier: Apache-2.0
"""A live Dinky and its Flink, seen without the provider: makes Dinky tasks, and asks Flink what really runs."""

from __future__ import annotations

import http.cookiejar
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

T = TypeVar("T")

SUBMIT_SECONDS = 300.0
"""A submit may take minutes: the first one after Dinky's start scans all of its classes."""
_ENDED = ("FINISHED", "FAILED", "CANCELED")


def until(what: Callable[[], T], seconds: float = 120.0, message: str = "") -> T:
    """Wait for something that a server does in its own time; return it.

    :raises AssertionError: it did not become true in that time.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s {message}"
        time.sleep(0.5)
    return found


@dataclass(frozen=True)
class LiveTask:
    """A Dinky task made for one test; its jobs in Flink bear its name, which no other task has."""

    id: int
    name: str
    catalogue_id: int
    live: LiveDinky

    def jobs(self) -> list[dict[str, Any]]:
        """Its jobs as Flink lists them, newest first."""
        jobs = [job for job in self.live.flink_jobs() if job["name"] == self.name]
        return sorted(jobs, key=lambda job: int(job["start-time"]), reverse=True)

    def running(self) -> list[str]:
        """Flink's ids of its jobs that have not ended, newest first."""
        return [str(job["jid"]) for job in self.jobs() if job["state"] not in _ENDED]

    def newest(self) -> dict[str, Any] | None:
        """Its newest job instance, as Dinky sees it."""
        return self.live.dinky("GET", f"/openapi/getJobInstanceByTaskId?id={self.id}")  # type: ignore[no-any-return]

    def alter(self, statement: str) -> None:
        """Save another SQL."""
        task = self.live.dinky("GET", f"/api/task?id={self.id}")
        self.live.dinky("PUT", "/api/task", {**task, "statement": statement})

    def checkpoints(self, jid: str) -> dict[str, Any]:
        """Flink's statistics of the checkpoints of one of its jobs."""
        return self.live.flink("GET", f"/jobs/{jid}/checkpoints")  # type: ignore[no-any-return]

    def restored_from(self, jid: str) -> str | None:
        """The savepoint or checkpoint that Flink says this job was restored from."""
        restored = (self.checkpoints(jid).get("latest") or {}).get("restored") or {}
        return restored.get("external_path")

    def wait_for_rows(self, jid: str) -> None:
        """Return when all tasks of this job run and its source has written something."""

        def writes() -> bool:
            vertices = self.live.flink("GET", f"/jobs/{jid}")["vertices"]
            runs = all(vertex["status"] == "RUNNING" for vertex in vertices)
            # A source that is chained to its sink hands nothing to another task.
            rows = sum(vertex["metrics"]["write-records"] for vertex in vertices)
            return runs and (rows > 0 or len(vertices) == 1)

        until(writes, message=f"for rows of {jid}")

    def wait_until_ended(self) -> None:
        """Return when none of its jobs runs in Flink."""
        until(lambda: not self.running(), message=f"for the end of {self.running()}")


class LiveDinky:
    """Speaks to Dinky's and Flink's REST APIs with nothing but the standard library.

    :param url: of Dinky.
    :param user: whose tasks are made.
    :param password: of that user.
    :param flink: ``host:port`` of the REST API of a Flink that Dinky has as a cluster instance.
    """

    def __init__(self, url: str, user: str, password: str, flink: str) -> None:
        self.url, self.flink_address = url.rstrip("/"), flink
        self._credentials = {"username": user, "password": password, "autoLogin": True, "ldapLogin": False}
        self._cookies = http.cookiejar.CookieJar()
        # Servers on the loopback interface are not to be looked for behind a proxy.
        handlers = (urllib.request.HTTPCookieProcessor(self._cookies), urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._tasks: list[LiveTask] = []
        self._cluster_id = 0
        self._takes_savepoints: str | None = None

    # Dinky

    def version(self) -> str:
        """Dinky's version."""
        return str(self.dinky("GET", "/openapi/version"))

    def dinky(self, method: str, path: str, body: Any = None) -> Any:
        """The ``data`` of Dinky's answer; signs in where that is needed.

        :raises AssertionError: Dinky refused.
        """
        answer = self._ask(method, self.url + path, body)
        if answer.get("code") == 7 or answer.get("status") == 401:
            self._sign_in()
            answer = self._ask(method, self.url + path, body)
        assert answer.get("code") == 0, f"{method} {path}: {answer.get('msg')} {str(answer)[:2000]}"
        return answer["data"]

    def task(self, statement: str, *, parallelism: int = 1) -> LiveTask:
        """Make a Flink SQL task on the cluster instance of this Flink, in session mode."""
        if not self._cluster_id:
            self._cluster_id = self._find_cluster()
        name = f"live_{uuid.uuid4().hex[:10]}"
        leaf = {"name": name, "type": "FlinkSql", "dialect": "FlinkSql", "note": "made by a test"}
        task = {
            **leaf,
            "type": "standalone",
            "clusterId": self._cluster_id,
            "statement": statement,
            "parallelism": parallelism,
            "savePointStrategy": 0,
            "envId": -1,
            "statementSet": True,
            "fragment": True,
            "batchModel": False,
            "enabled": True,
            "configJson": {"customConfig": []},
        }
        body = {**leaf, "parentId": 0, "isLeaf": True, "configJson": {}, "task": task}
        made = self.dinky("PUT", "/api/catalogue/saveOrUpdateCatalogueAndTask", body)
        self._tasks.append(LiveTask(int(made["taskId"]), name, int(made["id"]), self))
        return self._tasks[-1]

    def clean_up(self) -> None:
        """Cancel what still runs of the tasks that were made, and delete these."""
        for task in self._tasks:
            for jid in task.running():
                self.flink("PATCH", f"/jobs/{jid}?mode=cancel")
            task.wait_until_ended()
            # Refused for as long as Dinky takes the job for running.
            delete = f"/api/catalogue/deleteCatalogueById?id={task.catalogue_id}"
            self.dinky("GET", "/api/task?id=" + str(task.id))
            until(lambda: self._ask("DELETE", self.url + delete, None).get("code") == 0)  # noqa: B023
        self._tasks.clear()

    def why_no_savepoints(self, task: LiveTask) -> str:
        """Why this Dinky takes no savepoint of a job that can have one; empty if it does. Asked once."""
        if self._takes_savepoints is None:
            path = f"/api/task/savepoint?taskId={task.id}&savePointType=trigger"
            self.dinky("GET", f"/api/task?id={task.id}")
            answer = self._ask("GET", self.url + path, None)
            self._takes_savepoints = "" if answer.get("code") == 0 else f"{answer.get('msg')}"
        return self._takes_savepoints

    def _find_cluster(self) -> int:
        clusters = self.dinky(
            "GET", "/api/cluster/list?" + urlencode({"searchKeyWord": "", "isAutoCreate": "false"})
        )
        for cluster in clusters:
            if self.flink_address in str(cluster["hosts"]).split(","):
                return int(cluster["id"])
        raise AssertionError(f"Dinky has no cluster instance with the address {self.flink_address}")

    def _sign_in(self) -> None:
        self._cookies.clear()
        answer = self._ask("POST", self.url + "/api/login", self._credentials)
        assert answer.get("code") == 0, answer.get("msg")
        tenants = answer["data"]["tenantList"]
        tenant = str(tenants[0]["id"])
        self._ask("POST", f"{self.url}/api/chooseTenant?tenantId={tenant}", None)
        host = urlsplit(self.url).hostname or ""
        cookie = (
            "tenantId",
            tenant,
            None,
            False,
            host,
            True,
            False,
            "/",
            True,
            False,
            None,
            True,
            None,
            None,
        )
        self._cookies.set_cookie(http.cookiejar.Cookie(0, *cookie, {}))

    # Flink

    def flink(self, method: str, path: str) -> Any:
        """What Flink's REST API answers."""
        return self._ask(method, f"http://{self.flink_address}{path}", None)

    def flink_jobs(self) -> list[dict[str, Any]]:
        """All jobs that Flink knows."""
        return self.flink("GET", "/jobs/overview")["jobs"]  # type: ignore[no-any-return]

    def free_slots(self) -> int:
        """Slots of Flink that no job holds."""
        return int(self.flink("GET", "/overview")["slots-available"])

    def slots(self) -> int:
        """Slots that Flink has, whoever holds them."""
        return int(self.flink("GET", "/overview")["slots-total"])

    def is_flink_up(self) -> bool:
        """Whether Flink answers and has slots."""
        try:
            return self.free_slots() > 0
        except OSError:
            return False

    def is_up(self) -> bool:
        """Whether Dinky answers."""
        try:
            return bool(self.version())
        except (AssertionError, OSError, ValueError):
            return False

    def _ask(self, method: str, url: str, body: Any) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=SUBMIT_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise
            text = error.read()
        return json.loads(text or b"{}")  # type: ignore[no-any-return]


class Server:
    """A server that the tests may stop and start, with the commands given for it.

    :param commands: two shell commands, to stop and to start it; the second may return before it is up.
    :param is_up: whether it answers.
    """

    def __init__(self, commands: Sequence[str], is_up: Callable[[], bool]) -> None:
        self._stop, self._start = commands
        self._is_up = is_up

    def stop(self) -> None:
        """Stop it; return when it answers no more."""
        # H2, Dinky's own database, has on disk what was committed half a second later.
        time.sleep(2.0)
        self._run(self._stop)
        until(lambda: not self._is_up())

    def start(self) -> None:
        """Start it; return when it answers."""
        self._run(self._start)
        until(self._is_up, 300.0)

    def _run(self, command: str) -> None:
        # Its output goes nowhere: a server that inherits a pipe keeps whoever reads it waiting.
        out = subprocess.DEVNULL
        subprocess.run(command, shell=True, check=True, timeout=600, stdin=out, stdout=out, stderr=out)


def commands(name: str) -> Sequence[str] | None:
    """The commands ``NAME_STOP`` and ``NAME_START`` of the environment, if both are given."""
    found = [os.environ.get(f"{name}_STOP", ""), os.environ.get(f"{name}_START", "")]
    return found if all(found) else None
