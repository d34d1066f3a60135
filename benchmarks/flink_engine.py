# SPDX-License-Identifier: Apache-2.0
"""What a real Flink under the sandbox costs: start, submit, restart with a savepoint, memory.

``python benchmarks/flink_engine.py``; needs Java 11 or 17. The restarts are of the task that counts, by Dinky's own
``restartTask``; the job is down from the end of the old one to when the new one is RUNNING, by Flink's clock; without
output for the longest time between two rows of the sink around it. Before Dinky starts the new job it waits until it
has seen the old one's end, for which it looks every 4 to 10 s; the restarts are also measured with looks every 0.2 s.
The sum is checked: nothing lost, nothing twice.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import requests

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.runtime import TIMING, FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM, flink_tasks, read_turnover
from airflow_provider_dinky.sandbox.timing import Timing

RESTARTS = 5
ORDERS_STREAM = 1
QUICK_LOOKS = replace(TIMING, first_look=(0.2, 0.2), look_every=(0.2, 0.2), stop_poll=0.1)
MIB = 1024 * 1024


@dataclass(frozen=True)
class Restart:
    """Seconds that one restart took: for who asked, of the job being down, of the sink without a new row."""

    asked: float
    down: float
    silent: float


def main() -> int:
    """Print the figures; exit code 1 if a sum is wrong."""
    rows: list[tuple[str, str]] = []
    began = time.monotonic()
    flink = FlinkRuntime(tell=print)
    if (installed := time.monotonic() - began) > 1:
        rows.append(("installation of Flink, once", f"{installed:.1f} s"))
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows.append(("start of the cluster, until its slots are there", f"{_timed(flink.start):.1f} s"))
            rows.append(("memory after the start", f"{_memory()} MiB"))
            rows += _submits(flink, Path(folder))
            for looks, timing in (("4 to 10 s", TIMING), ("0.2 s", QUICK_LOOKS)):
                restarts = _restarts(flink, Path(folder) / looks, timing)
                rows += _as_rows(f"restart, Dinky looks every {looks}", restarts)
            rows.append(("memory with a job running, after all this", f"{_memory()} MiB"))
        finally:
            flink.stop()
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {figure}" for name, figure in rows))
    return 0


def _submits(flink: FlinkRuntime, folder: Path) -> list[tuple[str, str]]:
    with Sandbox(engine=flink.engine(), tasks=flink_tasks(folder), timing=TIMING, quirks=False) as sandbox:
        seconds = [_timed(lambda: _submit(sandbox, ORDERS_STREAM)) for _ in range(4)]
        _end_all(flink)
    return [
        ("first submit, until Dinky answers", f"{seconds[0]:.1f} s"),
        ("a later one", f"{statistics.median(seconds[1:]):.2f} s"),
    ]


def _restarts(flink: FlinkRuntime, folder: Path, timing: Timing) -> list[Restart]:
    with Sandbox(engine=flink.engine(), tasks=flink_tasks(folder), timing=timing, quirks=False) as sandbox:
        _submit(sandbox, TURNOVER_STREAM)
        done = [_restart(flink, sandbox, folder) for _ in range(RESTARTS)]
        written = sorted((row.amount, row.so_far) for row in read_turnover(folder))
        if written != [(n, n * (n + 1) // 2) for n in range(1, len(written) + 1)]:
            sys.exit("the sum is wrong: rows are lost, or written twice")
        _end_all(flink)
    return done


def _restart(flink: FlinkRuntime, sandbox: Sandbox, folder: Path) -> Restart:
    _wait_for_rows(folder, after=time.time())
    began = time.time()
    parameters = {"id": TURNOVER_STREAM}
    asked = _timed(
        lambda: _checked(requests.get(f"{sandbox.url}/openapi/restartTask", parameters, timeout=120))
    )
    _wait_for_rows(folder, after=time.time())
    old, new = (flink.rest.ask_blocking(f"/jobs/{job.jid}") for job in sandbox.engine.jobs[-2:])
    moments = [row.placed for row in read_turnover(folder) if row.placed > began - 2]
    silent = max(later - earlier for earlier, later in itertools.pairwise(moments))
    return Restart(asked, (new["timestamps"]["RUNNING"] - old["end-time"]) / 1000, silent)


def _wait_for_rows(folder: Path, after: float) -> None:
    while not any(row.placed > after for row in read_turnover(folder)):
        time.sleep(0.1)


def _submit(sandbox: Sandbox, task_id: int) -> None:
    _checked(requests.post(f"{sandbox.url}/openapi/submitTask", json={"id": task_id}, timeout=120))


def _checked(response: requests.Response) -> None:
    answer = response.json()
    if answer["code"] != 0 or not answer["data"]["success"]:
        sys.exit(f"Dinky refused: {answer['msg']}")


def _end_all(flink: FlinkRuntime) -> None:
    for job in flink.rest.ask_blocking("/jobs/overview")["jobs"]:
        if job["end-time"] < 0:
            flink.rest.send_blocking("PATCH", f"/jobs/{job['jid']}", {"mode": "cancel"})


def _as_rows(name: str, restarts: list[Restart]) -> list[tuple[str, str]]:
    def spread(seconds: list[float]) -> str:
        return f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"

    return [
        (f"{name}: until Dinky answers", spread([one.asked for one in restarts])),
        (f"{name}: job down", spread([one.down for one in restarts])),
        (f"{name}: no output", spread([one.silent for one in restarts])),
    ]


def _timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _memory() -> int:
    """Of all processes that were started, in MiB; what they share counts once for each."""
    return sum(child.memory_info().rss for child in psutil.Process().children(recursive=True)) // MIB


if __name__ == "__main__":
    sys.exit(main())
