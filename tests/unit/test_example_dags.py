# SPDX-License-Identifier: Apache-2.0
"""The example DAGs can be read without a warning, without Airflow's database and without a Dinky."""

from __future__ import annotations

import importlib.util
import runpy
import warnings
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))


AIRFLOW_3 = importlib.util.find_spec("airflow.sdk") is not None


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_file_is_one_dag_that_says_what_it_does(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "airflow.sdk" in file.read_text(encoding="utf-8") and not AIRFLOW_3:
        pytest.skip("assets that watch came with Airflow 3")
    dags: list[DAG] = []
    enter = DAG.__enter__
    monkeypatch.setattr(DAG, "__enter__", lambda dag: dags.append(dag) or enter(dag))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        description = runpy.run_path(str(file))["__doc__"]

    assert [str(one.message) for one in caught if one.filename == str(file)] == []
    assert [dag.dag_id for dag in dags] == [f"dinky_{file.stem}"]
    assert dags[0].doc_md == description
    assert dags[0].tasks
