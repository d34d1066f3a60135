# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_provider_dinky.sandbox``: start a sandbox and serve until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import shlex
import signal
import sys
import threading
from contextlib import ExitStack
from typing import Any

from .default_tasks import DEFAULT_TASKS
from .embedded import Sandbox
from .flink import command as flink
from .flink.errors import FlinkUnavailable
from .tasks import TaskFileError, TaskSpec
from .versions import NEWEST_RECORDED, VERSIONS


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_dinky.sandbox",
        description="A small stand-in for a Dinky server, to try things on and to test DAGs against.",
        epilog="Tasks without --tasks:\n" + _task_lines(DEFAULT_TASKS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=8888, help="port to listen on (default %(default)s; 0: free)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--tasks", metavar="FILE.yaml", help="the tasks to serve")
    parser.add_argument("--user", default="admin", help="who can sign in (default %(default)s)")
    parser.add_argument("--password", default="admin", help="with which password (default %(default)s)")
    parser.add_argument(
        "--dinky",
        choices=sorted(VERSIONS),
        default=NEWEST_RECORDED,
        help="the version of Dinky to be (default %(default)s)",
    )
    parser.add_argument(
        "--savepoints", metavar="DIR", help="where savepoints go (default: a temporary directory)"
    )
    parser.add_argument("--speed", type=_positive, default=1.0, help="times as fast as real time (default 1)")
    parser.add_argument(
        "--control", action="store_true", help="take orders (faults ...) at POST /sandbox/..."
    )
    parser.add_argument(
        "--no-quirks", action="store_true", help='never say "Task Not Exist" for a task that exists'
    )
    flink.add_arguments(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if flink.wanted(options) and options.speed != 1:
        parser.error("--speed: a real Flink has only the real time")
    with ExitStack() as stack:
        try:
            _serve(options, stack)
        except TaskFileError as error:
            return _fail(error, 2)
        except FlinkUnavailable as error:
            return _fail(error)
        except _CannotListen as error:
            return _fail(error)
        except KeyboardInterrupt:
            # It came while Flink was started.
            return 130
    print("\nDinky sandbox ended", flush=True)
    return 0


class _CannotListen(Exception):
    """The sandbox's port cannot be had."""


def _serve(options: argparse.Namespace, stack: ExitStack) -> None:
    runtime, parameters = flink.make_runtime(options, stack) if flink.wanted(options) else (None, {})
    sandbox = _sandbox(options, parameters)
    if runtime is not None:
        try:
            flink.start(runtime)
        except BaseException:
            sandbox.stop()
            raise
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    stack.enter_context(sandbox)
    if runtime is not None:
        print(f"Flink at {runtime.web_page}", flush=True)
    print(_greeting(sandbox, options.user), flush=True)
    asked_to_end.wait()


def _sandbox(options: argparse.Namespace, parameters: dict[str, Any]) -> Sandbox:
    usual = {
        "speed": options.speed,
        "tasks": options.tasks,
        "port": options.port,
        "host": options.host,
        "username": options.user,
        "password": options.password,
        "quirks": not options.no_quirks,
        "control": options.control,
        "savepoints": options.savepoints,
        "dinky": options.dinky,
    }
    try:
        return Sandbox(**{**usual, **parameters})
    except (OSError, OverflowError) as error:
        raise _CannotListen(_why_not(error, options.host, options.port)) from error


def _fail(error: Exception, code: int = 1) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _why_not(error: OSError | OverflowError, host: str, port: int) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is taken; choose another with --port"
    shown = f"[{host}]" if ":" in host else host
    return f"cannot listen on {shown}:{port}: {error}"


def _greeting(sandbox: Sandbox, user: str) -> str:
    return (
        f"Dinky sandbox at {sandbox.url} (sign in as {user}; Ctrl-C ends it)\n"
        f"{_task_lines(sandbox.tasks)}\n"
        f"export AIRFLOW_CONN_DINKY_DEFAULT={shlex.quote(sandbox.airflow_connection)}"
    )


def _task_lines(tasks: list[TaskSpec] | tuple[TaskSpec, ...]) -> str:
    return "\n".join(f"  {task.id:>4}  {task.name:<20}  {task.kind.replace('_', ' ')}" for task in tasks)


if __name__ == "__main__":
    sys.exit(main())
