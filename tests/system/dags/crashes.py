# SPDX-License-Identifier: Apache-2.0
"""One DAG for each way to die: it starts the job of a Dinky task of its own, and may try three times."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

CASES = {
    "before_the_submit": (101, "running", False),
    "during_the_submit": (102, "running", False),
    "after_the_submit": (103, "running", False),
    "while_polling": (104, "finished", False),
    "with_its_supervisor": (105, "running", False),
    "triggerer_while_deferred": (106, "finished", True),
    "scheduler_while_polling": (107, "finished", False),
}

for case, (dinky_task_id, wait_for, deferrable) in CASES.items():
    with DAG(f"crash_{case}", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
        SubmitTaskOperator(
            task_id="submit",
            dinky_task_id=dinky_task_id,
            wait_for=wait_for,
            deferrable=deferrable,
            poll_interval=0.5,
            retries=2,
            retry_delay=timedelta(seconds=1),
        )
    globals()[dag.dag_id] = dag
