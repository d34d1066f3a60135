# SPDX-License-Identifier: Apache-2.0
"""What this Airflow says about the provider: ``python -m matrix.provider`` prints every problem on a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow

from airflow_provider_dinky import __version__
from airflow_provider_dinky.get_provider_info import (
    CONNECTION_TYPE,
    EXTRA_FIELDS,
    get_provider_info,
)
from matrix import manifest
from matrix.airflow_command import airflow_json, be_strict

NAME = "airflow-provider-dinky"
VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
COMMAND_KNOWS_FORM = VERSION not in ((3, 0), (3, 1))
"""In between, the form was read from widgets that ``airflow providers widgets`` did not show without that provider."""


def problems() -> Iterator[str]:
    """All of them."""
    info = get_provider_info()
    yield from manifest.problems(info, Path(airflow.__file__).parent)
    yield from _listed()
    yield from _registered(info)
    yield from _form_on_the_command_line()


def _listed() -> Iterator[str]:
    versions = {row["package_name"]: row["version"] for row in airflow_json("providers", "list")}
    if versions.get(NAME) != __version__:
        yield f"airflow providers list: version {versions.get(NAME)}, not {__version__}"
    told = airflow_json("providers", "get", NAME, "--full")
    if [row.get("package-name") for row in told] != [NAME]:
        yield f"airflow providers get: {told}"


def _registered(info: dict[str, Any]) -> Iterator[str]:
    (connection,) = info["connection-types"]
    hook = connection["hook-class-name"]
    yield from _differs("hooks", "class", [hook])
    yield from _differs("links", "extra_link_class_name", info["extra-links"])
    modules = [module for group in info["triggers"] for module in group["python-modules"]]
    yield from _differs("triggers", "class", modules)


def _form_on_the_command_line() -> Iterator[str]:
    fields = [f"extra__{CONNECTION_TYPE}__{name}" for name in EXTRA_FIELDS]
    yield from _differs("widgets", "connection_parameter_name", fields if COMMAND_KNOWS_FORM else [])
    yield from _differs("behaviours", "field_behaviours", [CONNECTION_TYPE] if COMMAND_KNOWS_FORM else [])


def _differs(command: str, column: str, wanted: list[str]) -> Iterator[str]:
    rows = airflow_json("providers", command)
    shown = {row[column] for row in rows if "dinky" in str(row[column]).lower()}
    if shown != set(wanted):
        yield f"airflow providers {command}: {sorted(shown)}, not {sorted(wanted)}"


if __name__ == "__main__":
    be_strict()
    found = list(problems())
    print("\n".join(found))
    sys.exit(bool(found))
