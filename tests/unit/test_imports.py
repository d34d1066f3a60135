# SPDX-License-Identifier: Apache-2.0
"""What may import what: DAG files load fast, and the client knows nothing of Airflow."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_dinky
from tests.source import nodes_of

PACKAGE = Path(airflow_provider_dinky.__file__).parent
BASE_CLASSES = [
    # Not on Airflow 2.11.
    *(["airflow.sdk"] if importlib.util.find_spec("airflow.sdk") else []),
    "airflow.providers.common.compat.sdk",
]


def newly_imported(*modules: str, after: list[str]) -> set[str]:
    """What importing the modules brings into a fresh interpreter that has imported others before."""
    code = """
import importlib, json, sys
after, modules = json.loads(sys.argv[1])
for name in after:
    importlib.import_module(name)
# Lazy names of Airflow's, which every operator file uses.
if after:
    from airflow.providers.common.compat.sdk import (
        AirflowException, AirflowSkipException, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator,
        Context, conf,
    )
    try:
        from airflow.sdk.exceptions import TaskDeferralTimeout
    except ImportError:
        pass
    from airflow.triggers.base import BaseTrigger, TriggerEvent
before = set(sys.modules)
for name in modules:
    importlib.import_module(name)
print("IMPORTED" + json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([after, modules])],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout.rpartition("IMPORTED")[2]))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def imports_of(file: Path) -> Iterator[str]:
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def files(under: str) -> list[Path]:
    return sorted((PACKAGE / under).rglob("*.py"))


def test_a_dag_file_loads_neither_http_library_nor_sandbox() -> None:
    imported = newly_imported(
        "airflow_provider_dinky.operators.dinky", "airflow_provider_dinky.sensors.dinky", after=BASE_CLASSES
    )
    assert "airflow_provider_dinky.operators.dinky" in imported
    assert not tops(imported) & {"requests", "aiohttp", "urllib3", "yarl"}
    unwanted = ("sandbox", "client.blocking", "client.aio", "triggers")
    assert not [
        name for name in imported if name.startswith(tuple(f"airflow_provider_dinky.{u}" for u in unwanted))
    ]


@pytest.mark.parametrize("file", files("client"), ids=lambda file: file.name)
def test_no_file_of_the_client_imports_airflow(file: Path) -> None:
    for name in imports_of(file):
        assert name.split(".")[0] != "airflow"
        if name.startswith("airflow_provider_dinky"):
            assert name.startswith("airflow_provider_dinky.client")


def test_the_client_runs_without_airflow() -> None:
    modules = [
        f"airflow_provider_dinky.client.{file.stem}" for file in files("client") if file.stem != "__init__"
    ]
    imported = newly_imported(*modules, after=[])
    assert set(modules) <= imported
    assert "airflow" not in tops(imported)
    others = {name for name in imported if name.startswith("airflow_provider_dinky.")}
    assert others <= {*modules, "airflow_provider_dinky.client"}


def test_the_models_and_calls_need_no_http_library() -> None:
    imported = newly_imported(
        "airflow_provider_dinky.client.calls", "airflow_provider_dinky.client.wire", after=[]
    )
    assert not tops(imported) & {"requests", "aiohttp", "tenacity"}


def test_the_manifest_imports_nothing_heavy() -> None:
    imported = newly_imported("airflow_provider_dinky.get_provider_info", after=[])
    ours = {name for name in imported if name.startswith("airflow_provider_dinky")}
    assert ours == {"airflow_provider_dinky", "airflow_provider_dinky.get_provider_info"}
    assert not tops(imported) & {"airflow", "pydantic", "requests", "aiohttp", "tenacity", "yaml"}


def test_only_the_sandbox_imports_the_sandbox() -> None:
    for file in files("."):
        if "sandbox" not in file.relative_to(PACKAGE).parts:
            assert not [name for name in imports_of(file) if "sandbox" in name], file


def test_airflow_versions_are_told_apart_in_one_place() -> None:
    for file in files("."):
        if file.name != "_compat.py":
            assert "airflow.sdk" not in {name[:11] for name in imports_of(file)}, file
