# SPDX-License-Identifier: Apache-2.0
"""See to it every ten minutes that a streaming job is up: start it if it is down, leave it alone if it runs.

``if_running="attach"`` follows the job that is there instead of starting a second one beside it, which would write
everything twice. ``savepoint_path="latest-state"`` brings a job that failed, or that its cluster lost, back from its
newest savepoint or checkpoint; a task that never ran is started without. Dinky shows that state to signed-in users.

The task that is run: Airflow Variable ``dinky_stream_task`` (in the sandbox: 1, ``orders_stream``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG(
    "dinky_keep_running",
    schedule="*/10 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["dinky"],
    doc_md=__doc__,
):
    SubmitTaskOperator(
        task_id="ensure_running",
        dinky_task_id="{{ var.value.get('dinky_stream_task', 1) }}",
        if_running="attach",
        savepoint_path="latest-state",
        wait_for="running",
        timeout=600,
    )
