# SPDX-License-Identifier: Apache-2.0
"""``bash scripts/demo.sh``: the example DAGs in a real Airflow."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from airflow_demo import own_dinky, report
from airflow_demo.airflow_api import ApiUnavailable
from airflow_demo.dinkys import SPEED, as_environment, two_on_flink, two_sandboxes, watching_clients
from airflow_demo.local_airflow import COMPONENTS, USER, AirflowFailed, LocalAirflow
from airflow_demo.own_dinky import OwnDinky, Plan
from airflow_demo.sandbox_story import CONNECTION, STEPS
from airflow_demo.story import RUN_SECONDS, Player, Result, Stage, Step
from airflow_demo.watching import Watcher
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.sandbox.flink.errors import FlinkUnavailable
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime

ROOT = Path(__file__).parents[2]
SECONDS_TO_THINK = 5
FLINK_SECONDS = 150.0
"""In which every DAG has to be done where four programs in Java want the same processors."""


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bash scripts/demo.sh", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="stay up afterwards, with Airflow's web page")
    parser.add_argument("--flink", action="store_true", help="on a real Flink (needs Java 11 or 17)")
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "demo", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with _alone_in(options.work):
            return _run(options.work, options.ui, options.flink)
    except (AirflowFailed, ApiUnavailable, DinkyError, FlinkUnavailable, ValueError) as error:
        say(f"\nThe demo cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything that was started has been ended")
        return 130
    except BrokenPipeError:
        # Nobody reads any more (`| head`). Python would complain once more when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@contextlib.contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another demo runs in {work}") from None
        yield


def _run(work: Path, ui: bool, with_flink: bool) -> int:
    own = OwnDinky.from_environment(os.environ)
    if own is None:
        return _with_sandbox(work, ui, with_flink)
    if with_flink:
        raise ValueError("--flink is for the sandbox; your own Dinky (DINKY_URL) has a Flink already")
    return _with_own_dinky(own, work, ui)


def say(text: str) -> None:
    """Show a line at once."""
    print(text, flush=True)


def _with_sandbox(work: Path, ui: bool, with_flink: bool) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        if with_flink:
            flink = _start_flink(stack)
            sandboxes = stack.enter_context(two_on_flink(flink, work / "turnover"))
            pace = f"jobs run on the real Flink at {flink.web_page}"
        else:
            sandboxes = stack.enter_context(two_sandboxes(work / "savepoints"))
            pace = f"{SPEED:g} times as fast as real"
        for name, sandbox in sandboxes.items():
            say(f"Dinky sandbox at {sandbox.url} ({pace}), Airflow connection '{name}'")
        connections = {name: sandbox.airflow_connection for name, sandbox in sandboxes.items()}
        stage = _set_up(stack, work, connections, {}, STEPS, began)
        stage.sandboxes = sandboxes
        results = Player(stage, STEPS, FLINK_SECONDS if with_flink else RUN_SECONDS).play()
        return _conclude(stage, results, began, ui)


def _start_flink(stack: ExitStack) -> FlinkRuntime:
    flink = FlinkRuntime(tell=say)
    stack.callback(flink.stop)
    say("Starting a real Flink: about ten seconds")
    flink.start()
    say(f"Flink's own web page: {flink.web_page}")
    return flink


def _with_own_dinky(own: OwnDinky, work: Path, ui: bool) -> int:
    began = time.monotonic()
    connections = {CONNECTION: own.connection}
    with ExitStack() as stack:
        client = stack.enter_context(watching_clients(connections))[CONNECTION]
        plan = Plan.make(own, client)
        say(plan.explain())
        say(f"Ctrl-C within {SECONDS_TO_THINK} s if that is not what you want.")
        time.sleep(SECONDS_TO_THINK)
        steps = own_dinky.first_steps()
        stage = _set_up(stack, work, connections, plan.environment(), steps, began)
        try:
            results = Player(stage, steps, own_dinky.RUN_SECONDS).play()
            seen = results[0].scene.tasks["ensure_running"].job if results[0].scene else None
            if not plan.runs_already and not results[0].problems and seen and seen.state == "RUNNING":
                further = own_dinky.further_steps()
                results += Player(stage, further, own_dinky.RUN_SECONDS).play()
        except BaseException:
            say(f"A job of Dinky task {own.dinky_task_id} may still be there; look into {own.url}")
            raise
        return _conclude(stage, results, began, ui)


def _set_up(
    stack: ExitStack,
    work: Path,
    connections: dict[str, str],
    environment: dict[str, str],
    steps: Sequence[Step],
    began: float,
) -> Stage:
    airflow = LocalAirflow(
        work / "airflow",
        ROOT / "example_dags",
        {**as_environment(connections), **environment},
        by_schedule=any(step.by_schedule for step in steps),
    )
    stack.callback(_stop, airflow)
    say(f"Airflow at {airflow.url}, about 20 s until it is up")
    airflow.start(lambda what: say(f"{time.monotonic() - began:6.1f} s  {what}"))
    airflow.wait_for_dags({step.dag_id for step in steps})
    say(f"{time.monotonic() - began:6.1f} s  {', '.join(COMPONENTS)} are well, the DAGs are there\n")
    clients = stack.enter_context(watching_clients(connections))
    return Stage(airflow, Watcher(airflow.api, clients, say, began))


def _conclude(stage: Stage, results: list[Result], began: float, ui: bool) -> int:
    say(f"\n{report.table(results)}")
    good = sum(not result.problems for result in results)
    say(f"{good} of {len(results)} DAGs did what they should; {time.monotonic() - began:.0f} s")
    if ui:
        _stay_up(stage)
    return 0 if good == len(results) else 1


def _stay_up(stage: Stage) -> None:
    airflow = stage.airflow
    say(f"\nAirflow:  {airflow.url}  user {USER}, password {airflow.password}")
    for name, sandbox in stage.sandboxes.items():
        say(f"Dinky:    {sandbox.url}  (sandbox, connection '{name}')")
    say("Start DAGs there and see here what happens. Ctrl-C ends it all.\n")
    try:
        while True:
            airflow.check_alive()
            stage.watcher.look()
            time.sleep(1)
    except KeyboardInterrupt:
        say("")


def _stop(airflow: LocalAirflow) -> None:
    # From here on, nothing may keep the processes from being ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        say("Ending Airflow ...")
    airflow.stop()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
