# SPDX-License-Identifier: Apache-2.0
"""Restart a streaming job every night from a savepoint taken just before.

Savepoint, stop and new start are one Airflow task. If the new start fails, the job is started again from that
savepoint and the Airflow task fails, saying so. The path is the XCom ``savepoint_path``.

The task that is restarted: Airflow Variable ``dinky_stream_task`` (in the sandbox: 1, ``orders_stream``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import RestartTaskOperator

with DAG(
    "dinky_restart_with_savepoint",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["dinky"],
    doc_md=__doc__,
):
    RestartTaskOperator(
        task_id="restart",
        dinky_task_id="{{ var.value.get('dinky_stream_task', 1) }}",
        wait_for="running",
        deferrable=True,
        timeout=900,
    )
