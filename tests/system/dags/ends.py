# SPDX-License-Identifier: Apache-2.0
"""One DAG for each way in which a task is ended while its job runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

TIMED_OUT = {"execution_timeout": timedelta(seconds=12)}
GIVEN_UP = {"timeout": 6.0, "deferrable": True}
CASES = {
    "execution_timeout_cancels": (201, {**TIMED_OUT, "cancel_on_kill": "cancel"}),
    "execution_timeout_leaves": (202, TIMED_OUT),
    "user_ends_running": (203, {"cancel_on_kill": "cancel"}),
    "user_ends_deferred": (204, {"cancel_on_kill": "cancel", "deferrable": True}),
    "user_ends_deferred_leaves": (205, {"deferrable": True}),
    "deferral_timeout_cancels": (206, {**GIVEN_UP, "cancel_on_kill": "cancel"}),
}

for case, (dinky_task_id, how) in CASES.items():
    with DAG(f"end_{case}", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
        SubmitTaskOperator(
            task_id="submit",
            dinky_task_id=dinky_task_id,
            wait_for="finished",
            poll_interval=0.5,
            **how,
        )
    globals()[dag.dag_id] = dag
