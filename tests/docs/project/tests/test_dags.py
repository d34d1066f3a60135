# SPDX-License-Identifier: Apache-2.0
"""How a project tests its DAGs with the sandbox; quoted by the documentation."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky.sandbox import Sandbox


# --8<-- [start:run]
def run(dag: Any, **params: Any) -> Any:
    """Run a DAG in this process; jobs of the sandbox are quick, so look at them often."""
    for task in dag.tasks:
        for interval in ("poll_interval", "poke_interval"):
            if hasattr(task, interval):
                setattr(task, interval, 0.2)
    return dag.test(run_conf=params)


# --8<-- [end:run]


# --8<-- [start:first]
def test_report_is_made_once(dinky_sandbox: Sandbox) -> None:
    from dags.batch_report import dag

    assert run(dag).state == "success"
    assert [job.state for job in dinky_sandbox.engine.jobs] == ["FINISHED"]


# --8<-- [end:first]


# --8<-- [start:fault]
def test_a_lost_answer_starts_no_second_job(dinky_sandbox: Sandbox) -> None:
    from dags.batch_report import dag

    lost = dinky_sandbox.fault("reset", "submitTask", when="after")

    assert run(dag).state == "success"
    assert lost.hits == 1
    assert len(dinky_sandbox.engine.jobs) == 1


# --8<-- [end:fault]
