# SPDX-License-Identifier: Apache-2.0
"""Runs an Airflow command: ``python -m matrix.airflow_command dags test my_dag``.

A warning that points at this package or at a DAG file is an error in it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from typing import Any

OURS = r"airflow_provider_dinky|unusual_prefix_"
"""Modules that must not cause warnings; Airflow gives those that it makes of DAG files the second prefix."""


def be_strict() -> None:
    """Turn warnings of our making into errors, for the rest of this process."""
    # Airflow sets filters of its own, before these, unless it was started with some.
    sys.warnoptions.append("default")
    warnings.filterwarnings("error", module=OURS)


def airflow(*arguments: str) -> None:
    """Run an Airflow command in this process."""
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)


def airflow_json(*arguments: str) -> list[dict[str, Any]]:
    """Run an Airflow command that prints a table in this process, and return its rows."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        airflow(*arguments, "--output", "json")
    rows: list[dict[str, Any]] = json.loads(printed.getvalue().strip().splitlines()[-1])
    return rows


if __name__ == "__main__":
    be_strict()
    airflow(*sys.argv[1:])
