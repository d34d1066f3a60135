# SPDX-License-Identifier: Apache-2.0
"""Keeps a Flink's processes: starts them, and ends them when whoever had them started is gone, however that came.

Run as a script it takes orders from its standard input, one JSON object a line, and answers each with one. When its
input is closed, which the system does for a killed process too, it ends all that it has started, removes the folder,
and ends. Signals from a terminal do not reach it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ != "__main__":
    from .errors import FlinkUnavailable


class Keeper:
    """The starting process's end of it.

    :param folder: removed at the end, with everything in it.
    """

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._one_at_a_time = threading.Lock()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
        """Start a process under a name that is free again once it has ended; return its id.

        :raises FlinkUnavailable: it could not be started, or one of that name still runs.
        """
        order = {"command": list(command), "environment": dict(environment), "output": str(output)}
        return int(self._order("start", name, **order)["pid"])

    def kill(self, name: str) -> None:
        """Let a process die without a word; nothing happens to one that has ended."""
        self._order("kill", name)

    def exit_code(self, name: str) -> int | None:
        """Return with what a process has ended, or None while it runs."""
        code: int | None = self._order("poll", name)["code"]
        return code

    def close(self) -> None:
        """End all processes and remove the folder."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # One that was killed has left an order unread.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _order(self, what: str, name: str, **details: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._one_at_a_time:
                self._process.stdin.write(json.dumps({"do": what, "name": name, **details}) + "\n")
                self._process.stdin.flush()
                answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise FlinkUnavailable("the process that started Flink has ended") from error
        if "error" in answer:
            raise FlinkUnavailable(f"Flink's {name}: {answer['error']}")
        return answer


def _obey(order: dict[str, Any], processes: dict[str, subprocess.Popen[bytes]]) -> dict[str, Any]:
    name = order["name"]
    if order["do"] == "start":
        if name in processes and processes[name].poll() is None:
            return {"error": "it runs already"}
        with open(order["output"], "ab") as output:
            process = subprocess.Popen(
                order["command"],
                env=order["environment"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        processes[name] = process
        return {"pid": process.pid}
    if order["do"] == "kill":
        processes[name].kill()
        processes[name].wait()
    return {"code": processes[name].poll()}


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    # Not asked first: that takes Flink seconds, and there is nothing left for it to save.
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        # Not SIG_IGN, which the processes would inherit.
        signal.signal(number, lambda *_: None)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for line in sys.stdin:
            try:
                answer = _obey(json.loads(line), processes)
            except OSError as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        _end(list(processes.values()))
        shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    _main()
