# SPDX-License-Identifier: Apache-2.0
"""The sandbox's end of the process that submits SQL."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import jvm
from .environment import FlinkEnvironment
from .errors import FlinkUnavailable
from .statements import Statement
from .traces import from_chain

_GATEWAY = "org.apache.flink.api.python.shaded.py4j.GatewayServer"
_HEAP = 256
_WORKER = Path(__file__).with_name("submit_worker.py")


class SqlFailed(Exception):
    """Flink did not take the SQL: ``throwable`` says why, ``statement`` is the one that failed."""

    def __init__(self, chain: Sequence[Sequence[str]], statement: str) -> None:
        self.throwable = from_chain(chain)
        self.statement = statement
        self._chain = [list(link) for link in chain]
        super().__init__(str(self.throwable))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._chain, self.statement)


class Submitter:
    """Submits SQL to the cluster at ``host:port``; several submits at once are fine.

    :param environment: where Flink's programs are.
    :param java: the Java to run them.
    """

    def __init__(self, environment: FlinkEnvironment, java: Path, host: str, port: int) -> None:
        self._environment = environment
        self._java = java
        # Flink makes a URL of it, and so wants IPv6 in brackets.
        address = f"[{host}]" if ":" in host else host
        self._target = {"execution.target": "remote", "rest.address": address, "rest.port": str(port)}
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._worker: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, or None where it is not started."""
        return self._worker.pid if self._worker else None

    def start(self) -> None:
        """Start the process; returns at once."""
        folder = tempfile.mkdtemp(prefix="dinky-sandbox-submit-")
        gateway = jvm.command(
            self._java,
            self._environment.client_jars,
            _GATEWAY,
            *("--die-on-broken-pipe", "--enable-auth", "0"),
            heap=_HEAP,
            folder=Path(folder),
            options=("-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF"),
        )
        self._worker = subprocess.Popen(
            [str(self._environment.python), "-I", str(_WORKER), folder, *gateway],
            env=jvm.clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._worker,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the process. May be called twice."""
        worker, self._worker = self._worker, None
        if worker is not None and self._reader is not None:
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()
            self._reader.join()

    async def submit(self, statements: Sequence[Statement], configuration: Mapping[str, str]) -> str | None:
        """Run the statements and return the id of the job that they start; None if they start none.

        Raises :class:`SqlFailed`.
        """
        options = {**configuration, **self._target}
        is_batch = False
        for statement in statements:
            if statement.kind != "set":
                break
            # These have to be known before the first statement is looked at.
            options[statement.key] = statement.value
            is_batch = options.get("execution.runtime-mode", "").lower() == "batch"
        order = {
            "statements": [asdict(statement) for statement in statements],
            "configuration": options,
            "is_batch": is_batch,
        }
        answer = await asyncio.wrap_future(self._send(order))
        if "error" in answer:
            raise SqlFailed(answer["error"], answer["statement"])
        job: str | None = answer["job"]
        return job

    def _send(self, order: dict[str, Any]) -> Future[dict[str, Any]]:
        with self._lock:
            if self._worker is None or self._worker.stdin is None:
                raise FlinkUnavailable("Flink is not started")
            number = next(self._ids)
            answer: Future[dict[str, Any]] = Future()
            # One that runs cannot be cancelled: the answer comes in any case.
            answer.set_running_or_notify_cancel()
            self._waiting[number] = answer
            try:
                self._worker.stdin.write(json.dumps({**order, "id": number}) + "\n")
                self._worker.stdin.flush()
            except OSError:
                answer.set_result(_GONE)
            return answer

    def _read(self, worker: subprocess.Popen[str]) -> None:
        assert worker.stdout is not None
        with worker.stdout:
            for line in worker.stdout:
                answer = json.loads(line)
                self._waiting.pop(answer["id"]).set_result(answer)
        for left in self._waiting.values():
            if not left.done():
                left.set_result(_GONE)


_GONE = {
    "error": [("java.lang.IllegalStateException", "the process that submits SQL has ended")],
    "statement": "",
}
