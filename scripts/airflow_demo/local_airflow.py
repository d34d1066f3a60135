# SPDX-License-Identifier: Apache-2.0
"""A real Airflow on loopback, each part of it a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Set
from pathlib import Path

import psutil

from airflow_demo.airflow_api import AirflowApi, ApiUnavailable
from airflow_demo.reaper import Reaper, end, family

# Two API servers, one for tasks and one for people: with SQLite, a single one now and then waits for itself. (It writes
# its audit log on the event loop, which blocks that while a request that it has not finished holds the database.)
COMPONENTS = {
    "api-server": ("api-server", "--apps", "core"),
    "execution-api": ("api-server", "--apps", "execution"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}
USER = "admin"
START_SECONDS = 300.0
STOP_SECONDS = 6.0

# Tasks look at their jobs every 10 s unless told otherwise: right for jobs that run for hours, slow for a demo.
_QUICK = """\
from datetime import timedelta


def task_policy(task):
    task.retry_delay = timedelta(seconds=1)
    for name in ("poll_interval", "poke_interval"):
        if hasattr(task, name):
            # The scheduler fails a task whose next poke it has started before it has read that the last one ended.
            setattr(task, name, 5.0 if getattr(task, "mode", None) == "reschedule" else 0.5)
"""
# With a schedule, a DAG runs as soon as it is no longer paused, and then whenever it is time.
_BY_HAND = """

def dag_policy(dag):
    from airflow.sdk.definitions.timetables.simple import NullTimetable

    dag.timetable = NullTimetable()
"""


class AirflowFailed(RuntimeError):
    """Airflow did not start, or a part of it ended; the message has the end of its log."""


class LocalAirflow:
    """An Airflow with SQLite and LocalExecutor in a folder that is made anew each time.

    :param home: the folder; what is in it is removed.
    :param dags: folder of the DAGs.
    :param environment: more environment variables, for instance connections.
    :param by_schedule: whether the DAGs' schedules count; else they run only when triggered.
    :param database: a database that :func:`migrate` has made, to begin with a copy of it; without, one is made.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        environment: Mapping[str, str],
        *,
        by_schedule: bool = True,
        database: Path | None = None,
    ) -> None:
        self.home = home
        self._database = database
        self._local_settings = _QUICK if by_schedule else _QUICK + _BY_HAND
        self.password = secrets.token_urlsafe(9)
        self._port, self._execution_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}"
        self.api = AirflowApi(self.url, USER, self.password)
        self._environment = {**_without_airflow(os.environ), **self._settings(dags), **environment}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        self._reaper: Reaper | None = None

    def __enter__(self) -> LocalAirflow:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Make the database, start every process, and wait until all are well.

        :param tell: called with what is being done.
        :raises AirflowFailed: it did not come up, and why.
        """
        self._make_home()
        self._reaper = Reaper()
        if self._database is None:
            tell("making Airflow's database")
            self._migrate()
        else:
            shutil.copyfile(self._database, self.home / "airflow.db")
        tell("starting " + ", ".join(COMPONENTS))
        for name in COMPONENTS:
            self._start_component(name)
        self._wait_until_well()

    def wait_for_dags(self, dag_ids: Set[str], seconds: float = 180.0) -> None:
        """Return when Airflow knows these DAGs.

        :raises AirflowFailed: a DAG file cannot be read, or they do not come.
        """
        deadline = time.monotonic() + seconds
        while missing := dag_ids - self.api.dag_ids():
            self.check_alive()
            errors = self.api.import_errors()
            if errors or time.monotonic() >= deadline:
                raise AirflowFailed(
                    "\n".join(errors) or f"Airflow does not know {', '.join(sorted(missing))}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """End every process that was started, and those that they have started."""
        before = family(self._sessions)
        # The API servers last: the others talk to them until they end.
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        end(before | family(self._sessions))
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        if self._reaper is not None:
            self._reaper.dismiss()
            self._reaper = None
        self._sessions.clear()

    def check_alive(self) -> None:
        """Raise if a part of Airflow has ended by itself.

        :raises AirflowFailed: with the end of its log.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise AirflowFailed(
                    f"Airflow's {name} has ended (exit code {process.returncode}):\n{self._tail(name)}"
                )

    def kill(self, name: str) -> None:
        """Let one part of Airflow die without a word, as of SIGKILL or a power cut; what it has forked lives on."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def revive(self, name: str) -> None:
        """Start a part of Airflow that has died."""
        self._start_component(name)

    def kill_task(self, *, with_supervisor: bool = False) -> int:
        """Let the process of a running task die without a word; returns how many processes died.

        A child of the scheduler is an executor's worker, which supervises a task in a process of its own.
        """
        doomed = []
        for worker in psutil.Process(self._processes["scheduler"].pid).children():
            tasks = worker.children()
            doomed += [*([worker] if with_supervisor and tasks else []), *tasks]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return len(doomed)

    def _start_component(self, name: str) -> None:
        ports = {"api-server": self._port, "execution-api": self._execution_port}
        port = ("--port", str(ports[name])) if name in ports else ()
        self._processes[name] = self._run(name, *COMPONENTS[name], *port)

    def _make_home(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "config").mkdir(parents=True)
        (self.home / "output").mkdir()
        (self.home / "config" / "airflow_local_settings.py").write_text(self._local_settings)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: self.password}))

    def _settings(self, dags: Path) -> dict[str, str]:
        settings = {
            "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self._execution_port}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": "4",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__SECRET_KEY": secrets.token_hex(32),
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # Airflow begins to watch an asset when it reads the file after its DAG is no longer paused.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=30",
            "LOGGING__COLORED_CONSOLE_LOG": "False",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            # Up to so many seconds late it is seen that a task has ended.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        loopback = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        # Forked processes on macOS die without it, as Airflow's documentation says.
        macos = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}
        return {
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **loopback,
            **macos,
        }

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / "output" / f"{name}.log").open("wb") as output:
            # Each in a session of its own: Ctrl-C reaches only the demo, which then ends them in order.
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.add(process.pid)
        if self._reaper is not None:
            self._reaper.watch(process.pid)
        return process

    def _migrate(self) -> None:
        process = self._processes["migration"] = self._run("migration", "db", "migrate")
        if process.wait(START_SECONDS) != 0:
            raise AirflowFailed(f"airflow db migrate failed:\n{self._tail('migration')}")
        del self._processes["migration"]

    def _wait_until_well(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        sick: object = "the API server does not answer"
        while time.monotonic() < deadline:
            self.check_alive()
            with contextlib.suppress(ApiUnavailable):
                sick = self.api.sick_components() or self._sick_execution_api()
                if not sick:
                    return
            time.sleep(0.2)
        raise AirflowFailed(
            f"Airflow did not come up within {START_SECONDS:g} s: {sick}\n{self._tail('api-server')}"
        )

    def _sick_execution_api(self) -> str | None:
        with socket.socket() as probe:
            return "execution-api" if probe.connect_ex(("127.0.0.1", self._execution_port)) else None

    def _tail(self, name: str) -> str:
        lines = (self.home / "output" / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def migrate(database: Path) -> None:
    """Make an empty database for Airflow, which :class:`LocalAirflow` can begin with a copy of.

    :raises AirflowFailed: it could not be made, and why.
    """
    airflow = LocalAirflow(database.with_suffix(".home"), database.parent, {})
    airflow._make_home()
    airflow._migrate()
    shutil.move(airflow.home / "airflow.db", database)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _without_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the settings of an Airflow that the user may have."""
    return {name: value for name, value in environment.items() if not name.startswith("AIRFLOW_")}
