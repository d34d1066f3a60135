# SPDX-License-Identifier: Apache-2.0
"""What the README shows runs, and the messages that it explains are those of the code."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

from .test_pages import ROOT, explained, fences, not_in_the_code

README = ROOT / "README.md"
BLOCKS = [code for language, code in fences(README) if language == "python"]


def names_of(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, str(README), "exec"), names)
    return names


def test_the_dag_can_be_read_without_warnings() -> None:
    (code,) = [code for code in BLOCKS if "with DAG(" in code]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # For the DAG itself, which its code gives no name.
        names = names_of(code.replace("):\n", ") as dag:\n", 1))

    assert [str(one.message) for one in caught if one.filename == str(README)] == []
    dag = names["dag"]
    assert isinstance(dag, DAG)
    # Airflow 2 asks for it as soon as there is a schedule.
    assert dag.start_date is not None
    (task,) = dag.tasks
    assert isinstance(task, SubmitTaskOperator)
    assert len([line for line in code.splitlines() if line]) == 5


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_python_runs(code: str) -> None:
    assert len(names_of(code)) > 2


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    _, _, rest = README.read_text(encoding="utf-8").partition("## If something is wrong")
    messages = explained(rest.partition("\n## ")[0])
    assert len(messages) > 5
    assert not_in_the_code(messages) == []
