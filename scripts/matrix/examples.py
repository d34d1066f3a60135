# SPDX-License-Identifier: Apache-2.0
"""Every example DAG with ``airflow dags test``, against sandboxes, and what has to come of each.

``python -m matrix.examples HOME`` prints every problem on a line, and in the last one how many were run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import airflow

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.engine import JobRecord

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "example_dags"
STREAM, REPORT, BACKFILL, FAILING, CHECKPOINTED = 1, 2, 3, 4, 10
"""Ids of the sandbox's tasks that the example DAGs use."""
DAY = "2026-01-05"
SPEED = 20.0
SECONDS = 180.0
"""After which a run is given up."""
QUICK = """\
from datetime import timedelta


def task_policy(task):
    task.retry_delay = timedelta(seconds=1)
    for name in ("poll_interval", "poke_interval"):
        if hasattr(task, name):
            setattr(task, name, 0.5)
"""


@dataclass(frozen=True)
class Run:
    """A run of a DAG that has ended.

    :param here: the sandbox of ``dinky_default``.
    :param elsewhere: the sandbox of ``dinky_other``.
    :param printed: everything that Airflow has printed, in one line without colours.
    """

    here: Sandbox
    elsewhere: Sandbox
    printed: str

    def jobs(self, dinky_task_id: int) -> list[JobRecord]:
        """The jobs of a task so far, oldest first."""
        return [job for job in self.here.engine.jobs if job.task_id == dinky_task_id]

    def states(self, dinky_task_id: int) -> list[str]:
        """In which states its jobs are, as Flink sees them."""
        return [job.state for job in self.jobs(dinky_task_id)]


def _report_finished(run: Run) -> bool:
    return run.states(REPORT) == ["FINISHED"]


def _backfilled_the_day(run: Run) -> bool:
    return [(job.state, job.variables.get("day")) for job in run.jobs(BACKFILL)] == [("FINISHED", DAY)]


def _counted(run: Run) -> bool:
    return "59 customers in all countries" in run.printed


def _said_why(run: Run) -> bool:
    return "is FAILED: java.lang.NumberFormatException: For input string: 'twelve'" in run.printed


def _one_runs(run: Run) -> bool:
    return run.states(STREAM) == ["RUNNING"]


def _new_job_from_savepoint_of_old(run: Run) -> bool:
    *_, old, new = run.jobs(STREAM)
    return not old.active and new.state == "RUNNING" and new.resumed_from in old.savepoints


def _runs_elsewhere_too(run: Run) -> bool:
    (elsewhere,) = run.elsewhere.engine.jobs
    here = run.jobs(STREAM)[-1]
    return {elsewhere.state, here.state} == {"RUNNING"} and elsewhere.resumed_from in here.savepoints


def _runs_and_has_a_checkpoint(run: Run) -> bool:
    return run.states(CHECKPOINTED) == ["RUNNING"] and "First checkpoint of job instance" in run.printed


def _still_runs(run: Run) -> bool:
    return run.states(CHECKPOINTED) == ["RUNNING"]


def _none_runs(run: Run) -> bool:
    return bool(run.jobs(STREAM)) and not any(job.active for job in run.jobs(STREAM))


CHAINS: tuple[dict[str, Callable[[Run], bool]], ...] = (
    {
        "submit_and_wait": _report_finished,
        "variables_and_templates": _backfilled_the_day,
        "hook_in_a_task": _counted,
        "failing_job": _said_why,
    },
    {
        "keep_running": _one_runs,
        "restart_with_savepoint": _new_job_from_savepoint_of_old,
        "restart_by_endpoint": _new_job_from_savepoint_of_old,
        "savepoint_then_submit_elsewhere": _runs_elsewhere_too,
        "cancel_at_end_of_day": _none_runs,
    },
    {
        "deploy_stream": _runs_and_has_a_checkpoint,
        "check_streams": _still_runs,
        # Without an event, and with a job that runs, it has nothing to do.
        "repair_stream": _still_runs,
    },
)
"""Examples by the names of their files, with what has to be true afterwards; those of a chain build on each other."""
FAILS = {"failing_job"}
NOT_BEFORE_3 = {"repair_stream"}
"""Assets came with Airflow 3."""


def problems(home: Path) -> Iterator[str]:
    """Run them all, one chain beside the other, each with an Airflow home and sandboxes of its own.

    :param home: folder for all that is made; what the runs have printed stays there.
    """
    if forgotten := {file.stem for file in EXAMPLES.glob("*.py")} - {
        name for chain in CHAINS for name in chain
    }:
        yield f"not run: {', '.join(sorted(forgotten))}"
    first, *others = (home / f"chain{number}" for number in range(1, len(CHAINS) + 1))
    first.mkdir(parents=True)
    (first / "config").mkdir()
    (first / "config" / "airflow_local_settings.py").write_text(QUICK)
    if problem := _airflow(home / "database.log", first, {}, "db", "migrate"):
        yield f"no database: {problem}"
        return
    # As a DAG processor does. From 3.1 on ``dags test`` does it, too; 3.0 takes every asset for inactive without it:
    # apache/airflow#51644.
    if airflow.__version__.startswith("3.0.") and (
        problem := _airflow(home / "reserialize.log", first, {}, "dags", "reserialize")
    ):
        yield f"no assets: {problem}"
        return
    for other in others:
        shutil.copytree(first, other)
    with ThreadPoolExecutor(len(CHAINS)) as threads:
        for found in threads.map(_play, CHAINS, (first, *others)):
            yield from found


def _play(chain: dict[str, Callable[[Run], bool]], home: Path) -> list[str]:
    found = []
    with ExitStack() as stack:
        here, elsewhere = (
            stack.enter_context(Sandbox(speed=SPEED, savepoints=home / "savepoints")) for _ in range(2)
        )
        connections = {
            "AIRFLOW_CONN_DINKY_DEFAULT": here.airflow_connection,
            "AIRFLOW_CONN_DINKY_OTHER": elsewhere.airflow_connection,
        }
        for name, as_it_should in chain.items():
            if airflow.__version__.startswith("2.") and name in NOT_BEFORE_3:
                print(f"skipped: {name} is for Airflow 3")
                continue
            log = home / f"{name}.log"
            problem = _airflow(log, home, connections, "dags", "test", f"dinky_{name}", DAY)
            run = Run(here, elsewhere, _plain(log.read_text(encoding="utf-8")))
            if problem != ("exit code 1" if name in FAILS else None):
                found.append(f"{name}: {problem or 'should fail, but did not'}, see {log}")
            elif not as_it_should(run):
                found.append(
                    f"{name}: {as_it_should.__name__.lstrip('_').replace('_', ' ')}: not so, see {log}"
                )
    return found


def _plain(printed: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", printed).split())


def _airflow(log: Path, home: Path, more: dict[str, str], *arguments: str) -> str | None:
    """Run a command of Airflow; returns what is wrong with its end."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Whatever the machine's proxy settings are, the sandboxes are here.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **more,
    }
    with log.open("w", encoding="utf-8") as output:
        try:
            code = subprocess.run(
                [sys.executable, "-m", "matrix.airflow_command", *arguments],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS:g} s"
    return f"exit code {code}" if code else None


def main(arguments: Sequence[str]) -> int:
    """Run them; returns the exit code."""
    found = list(problems(Path(arguments[0])))
    print("\n".join([*found, f"{sum(map(len, CHAINS))} examples"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
