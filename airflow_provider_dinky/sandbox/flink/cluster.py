# SPDX-License-Identifier: Apache-2.0
"""A Flink cluster on loopback: ZooKeeper, a job manager and a task manager, each a process of its own.

ZooKeeper is there so that a job manager that was killed finds its jobs when it comes back.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from airflow_provider_dinky.sandbox.engine import EngineUnreachable, JobNotFound

from . import jvm
from .environment import FlinkEnvironment
from .errors import FlinkUnavailable
from .keeper import Keeper
from .rest import FlinkRefused, FlinkRest

ZOOKEEPER, JOB_MANAGER, TASK_MANAGER = "zookeeper", "jobmanager", "taskmanager"
HOST = "127.0.0.1"

_MAIN_CLASSES = {
    ZOOKEEPER: "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain",
    JOB_MANAGER: "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    TASK_MANAGER: "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}
_HEAP = {ZOOKEEPER: 64, JOB_MANAGER: 256, TASK_MANAGER: 384}
"""MiB; a task manager's is the sum of its framework's and its tasks' heap."""
_START_SECONDS = 90.0
_LOG_LINES = 5
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.type = File
appender.file.name = File
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c - %m%n
"""
_ZOOKEEPER_SETTINGS = """\
clientPort={port}
clientPortAddress={host}
dataDir={folder}
tickTime=500
admin.enableServer=false
"""


class FlinkCluster:
    """A cluster that this process starts, and that ends with it whatever happens.

    :param environment: where Flink's programs are.
    :param java: the Java to run them.
    :param slots: how many jobs of parallelism 1 it has room for.
    :param port: of the REST API and the web page; 0 takes a free one.
    :param settings: Flink options that win over those of the sandbox.
    """

    def __init__(
        self,
        environment: FlinkEnvironment,
        java: Path,
        *,
        slots: int = 8,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment
        self._java = java
        self._slots = slots
        rest, rpc, self._zookeeper_port = _ports(port)
        self.rest = FlinkRest(HOST, rest)
        self.folder = Path(tempfile.mkdtemp(prefix="dinky-sandbox-flink-")).resolve()
        self._generation = 0
        self._rpc_port = rpc
        self._settings = dict(settings or {})
        self._keeper: Keeper | None = None
        self._task_managers = 0
        self.pids: dict[str, int] = {}

    def start(self) -> None:
        """Start the processes; returns when the slots are there.

        :raises FlinkUnavailable: it did not come up, and why.
        """
        self._keeper = Keeper(self.folder)
        for name in ("tmp", "zookeeper"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "log4j.properties").write_text(_LOGGING)
        zookeeper = {"port": self._zookeeper_port, "host": HOST, "folder": self.folder / "zookeeper"}
        (self.folder / "zoo.cfg").write_text(_ZOOKEEPER_SETTINGS.format(**zookeeper))
        self._write_settings()
        for name in _MAIN_CLASSES:
            self._start(name)
        self._wait_for_slots(self._slots)

    def stop(self) -> None:
        """End the processes and remove what they have written. May be called twice."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        else:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def _wait_for_slots(self, slots: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._free_slots() < slots:
            self._check_alive()
            if time.monotonic() > deadline:
                told = "\n".join(self._tail(name) for name in (JOB_MANAGER, TASK_MANAGER))
                raise FlinkUnavailable(f"Flink has no slots {_START_SECONDS:g} s after its start:\n{told}")
            time.sleep(0.1)

    def wait_until_alive(self) -> None:
        """Start what was killed and return when a slot is there. Raises FlinkUnavailable."""
        for name in _MAIN_CLASSES:
            if self._kept().exit_code(name) is not None:
                self._start(name)
        self._wait_for_slots(1)

    # What a test does to it.

    def kill_job_manager(self) -> None:
        """Let the job manager die without a word; its jobs run on for a while, then wait for it."""
        self._kept().kill(JOB_MANAGER)

    def revive_job_manager(self, *, with_jobs: bool = True) -> None:
        """Start the job manager again, with its jobs or with no memory of them; returns before it is up.

        One that runs is left alone, unless it is to forget its jobs.
        """
        if with_jobs and self._kept().exit_code(JOB_MANAGER) is None:
            return
        if not with_jobs:
            self._kept().kill(JOB_MANAGER)
            self._generation += 1
            self._write_settings()
            self._kept().kill(TASK_MANAGER)
            self._start(TASK_MANAGER)
        self._start(JOB_MANAGER)

    def kill_task_manager(self) -> None:
        """Let the task manager die without a word, and with it the slots and all that runs in them."""
        self._kept().kill(TASK_MANAGER)

    def revive_task_manager(self) -> None:
        """Start a new task manager, unless one runs; returns before its slots are there."""
        if self._kept().exit_code(TASK_MANAGER) is not None:
            self._start(TASK_MANAGER)

    def _start(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        arguments = [str(self.folder / "zoo.cfg")] if name == ZOOKEEPER else ["--configDir", str(self.folder)]
        if name == TASK_MANAGER:
            self._task_managers += 1
            arguments += ["-D", f"taskmanager.resource-id={self._task_manager_id}"]
        command = jvm.command(
            self._java,
            self._environment.cluster_jars,
            _MAIN_CLASSES[name],
            *arguments,
            heap=_HEAP[name],
            folder=self.folder / "tmp",
            options=(
                f"-Dlog.file={log}",
                f"-Dlog4j.configurationFile=file:{self.folder / 'log4j.properties'}",
                # What comes up quickly is worth more here than what runs fast for days.
                "-XX:TieredStopAtLevel=1",
            ),
        )
        output = self.folder / f"{name}.out"
        self.pids[name] = self._kept().start(name, command, jvm.clean_environment(), output)

    def _write_settings(self) -> None:
        settings = {
            "jobmanager.rpc.address": HOST,
            "jobmanager.rpc.port": self._rpc_port,
            "jobmanager.bind-host": HOST,
            "taskmanager.host": HOST,
            "taskmanager.bind-host": HOST,
            "rest.address": HOST,
            "rest.bind-address": HOST,
            "rest.port": self.rest.port,
            "high-availability.type": "zookeeper",
            "high-availability.zookeeper.quorum": f"{HOST}:{self._zookeeper_port}",
            "high-availability.zookeeper.client.session-timeout": "4 s",
            "high-availability.storageDir": f"file:{self.folder}/jobs",
            "high-availability.cluster-id": f"/generation-{self._generation}",
            "execution.checkpointing.dir": f"file:{self.folder}/checkpoints",
            "io.tmp.dirs": f"{self.folder}/tmp",
            # As on the cluster of the recordings. Flink's default with checkpoints is to try for ever.
            "restart-strategy.type": "none",
            # A job without a slot says so soon, instead of after 5 minutes.
            "slot.request.timeout": "15 s",
            "taskmanager.numberOfTaskSlots": self._slots,
            "taskmanager.cpu.cores": 1.0,
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.task.heap.size": f"{_HEAP[TASK_MANAGER] - 128}m",
            "taskmanager.memory.framework.off-heap.size": "64m",
            "taskmanager.memory.task.off-heap.size": "0m",
            "taskmanager.memory.network.min": "64m",
            "taskmanager.memory.network.max": "64m",
            "taskmanager.memory.managed.size": "128m",
            "taskmanager.memory.jvm-metaspace.size": "256m",
            "taskmanager.memory.jvm-overhead.min": "64m",
            "taskmanager.memory.jvm-overhead.max": "64m",
            **self._settings,
        }
        # JSON is YAML.
        (self.folder / "config.yaml").write_text(json.dumps(settings, indent=1))

    @property
    def _task_manager_id(self) -> str:
        return f"{TASK_MANAGER}-{self._task_managers}"

    def _free_slots(self) -> int:
        """How many slots can be had; -1 while nobody can say.

        That is also as long as the job manager knows a task manager that was killed: it would promise a new job the
        slots of the dead.
        """
        with contextlib.suppress(EngineUnreachable, JobNotFound, FlinkRefused):
            known = self.rest.ask_blocking("/taskmanagers")["taskmanagers"]
            if [one["id"] for one in known] == [self._task_manager_id]:
                return int(known[0]["freeSlots"])
        return -1

    def _check_alive(self) -> None:
        for name in _MAIN_CLASSES:
            code = self._kept().exit_code(name)
            if code is None:
                continue
            told = self._tail(name)
            if "Address already in use" in told or "BindException" in told:
                raise FlinkUnavailable(f"port {self.rest.port} is taken; choose another with --flink-port")
            raise FlinkUnavailable(f"Flink's {name} has ended (exit code {code}):\n{told}")

    def _tail(self, name: str) -> str:
        lines: list[str] = []
        for file in (self.folder / f"{name}.out", self.folder / f"{name}.log"):
            if file.exists():
                told = file.read_text(errors="replace").splitlines()
                lines += [line for line in told if not line.startswith("\tat ")][-_LOG_LINES:]
        return "\n".join(lines)

    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise FlinkUnavailable("the Flink cluster is not started")
        return self._keeper


def _ports(wanted: int) -> list[int]:
    """Return ``wanted`` (a free one for 0) and two free ports."""
    with contextlib.ExitStack() as stack:
        found = []
        for port in (wanted, 0, 0):
            probe = stack.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except (OSError, OverflowError) as error:
                raise FlinkUnavailable(f"port {port} is taken; choose another with --flink-port") from error
            found.append(probe.getsockname()[1])
        return found
