# SPDX-License-Identifier: Apache-2.0
"""Restart a streaming job by Dinky's own restartTask, for who wants exactly what its button does.

Dinky takes a savepoint, cancels the job and submits from it, in one call. It drops the variables of the running job,
and starts a task that does not run without state: ``method="steps"``, the default, does neither.

The task that is restarted: Airflow Variable ``dinky_stream_task`` (in the sandbox: 1, ``orders_stream``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import RestartTaskOperator

with DAG(
    "dinky_restart_by_endpoint",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["dinky"],
    doc_md=__doc__,
):
    RestartTaskOperator(
        task_id="restart",
        dinky_task_id="{{ var.value.get('dinky_stream_task', 1) }}",
        method="endpoint",
        wait_for="running",
        timeout=900,
    )
