# SPDX-License-Identifier: Apache-2.0
"""The project that the documentation quotes: its DAGs can be read, and its own tests pass in a real Airflow."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG

PROJECT = Path(__file__).parent / "project"
DAGS = sorted((PROJECT / "dags").glob("*.py"))
SECONDS = 300.0
"""After which its tests are given up."""


@pytest.mark.parametrize("file", DAGS, ids=lambda file: file.stem)
def test_file_is_one_dag_without_warnings(file: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = runpy.run_path(str(file))

    assert [str(one.message) for one in caught if one.filename == str(file)] == []
    assert isinstance(found["dag"], DAG)
    assert found["dag"].dag_id == file.stem
    assert found["dag"].tasks


@pytest.mark.system
def test_its_own_tests_pass(tmp_path: Path, airflow_database: Path) -> None:
    (tmp_path / "airflow").mkdir()
    shutil.copyfile(airflow_database, tmp_path / "airflow" / "airflow.db")
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "project" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": "127.0.0.1",
    }

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path / "project",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    printed = python("pytest", "-p", "no:cacheprovider", "--rootdir", ".", "-q")
    written = sum(file.read_text().count("\ndef test_") for file in (PROJECT / "tests").glob("test_*.py"))
    assert re.search(rf"^{written} passed", printed, re.MULTILINE)
