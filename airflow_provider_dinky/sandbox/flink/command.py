# SPDX-License-Identifier: Apache-2.0
"""The part of ``python -m airflow_provider_dinky.sandbox`` that is about a real Flink."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runtime import FlinkRuntime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "a real Flink",
        "runs the SQL of the tasks as it is; needs Java 11 or 17, and the first time a network",
    )
    group.add_argument(
        "--engine",
        choices=("simulated", "flink"),
        default="simulated",
        help="what runs the jobs: a simulated cluster (default), or a Flink that is started for them",
    )
    group.add_argument("--flink-rest", metavar="URL", help="use a running Flink instead: http://host:8081")
    group.add_argument(
        "--flink-port", type=int, default=0, metavar="PORT", help="of the started Flink (default: a free one)"
    )
    group.add_argument(
        "--turnover", metavar="DIR", help="where turnover_stream writes (default: goes with the sandbox)"
    )


def wanted(options: argparse.Namespace) -> bool:
    """Whether the options ask for a real Flink."""
    return options.engine == "flink" or options.flink_rest is not None


def make_runtime(options: argparse.Namespace, stack: ExitStack) -> tuple[FlinkRuntime, dict[str, Any]]:
    """Return what the options ask for, and the sandbox's parameters that differ with it.

    It is not started yet, and ends with the stack. Raises FlinkUnavailable.
    """
    from .runtime import TIMING, FlinkRuntime
    from .tasks import flink_tasks

    # Before the runtime, to be removed after it has ended: a job that runs would make the folder again.
    turnover = options.turnover or stack.enter_context(
        tempfile.TemporaryDirectory(prefix="dinky-sandbox-turnover-", ignore_cleanup_errors=True)
    )
    runtime = FlinkRuntime(rest_url=options.flink_rest, port=options.flink_port, tell=_tell)
    stack.callback(runtime.stop)
    savepoints = None if options.savepoints is None else Path(options.savepoints)
    return runtime, {
        "engine": runtime.engine(savepoints),
        "tasks": options.tasks or flink_tasks(Path(turnover)),
        "timing": TIMING,
    }


def start(runtime: FlinkRuntime) -> None:
    """Start it. Raises FlinkUnavailable."""
    if runtime.cluster is not None:
        _tell("Starting Flink: about ten seconds")
    runtime.start()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
