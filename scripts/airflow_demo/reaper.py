# SPDX-License-Identifier: Apache-2.0
"""Ends processes once whoever has started them is gone, however that came: a killed demo leaves nothing behind.

Run as a script, it reads the sessions to end from its standard input, a number a line, until that is closed, which
the system does for a killed process. The line ``done`` says that there is nothing left to do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection

import psutil


class Reaper:
    """The starting process's end of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def watch(self, session: int) -> None:
        """End this session, too, if this process dies."""
        self._tell(str(session))

    def dismiss(self) -> None:
        """All is done; the reaper goes."""
        self._tell("done")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()


def family(sessions: Collection[int]) -> set[psutil.Process]:
    """The processes in these sessions, also those whose parent has gone, and their children."""
    found = {process for process in psutil.process_iter() if _session_of(process) in sessions}
    for process in list(found):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return found


def end(processes: Collection[psutil.Process], seconds: float = 3.0) -> None:
    """Ask them to end, and make those do it that do not."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=seconds)


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lines = [line.strip() for line in sys.stdin]
    if "done" not in lines:
        sessions = {int(line) for line in lines}
        while remaining := family(sessions):
            end(remaining)


if __name__ == "__main__":
    _main()
