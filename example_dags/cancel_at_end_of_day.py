# SPDX-License-Identifier: Apache-2.0
"""Stop a job on weekdays at eight in the evening; one that has ended by itself is fine.

``with_savepoint=True`` would stop it with a savepoint, and return the path to resume from.

The task that is stopped: Airflow Variable ``dinky_stream_task`` (in the sandbox: 1, ``orders_stream``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import CancelTaskOperator

with DAG(
    "dinky_cancel_at_end_of_day",
    schedule="0 20 * * 1-5",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["dinky"],
    doc_md=__doc__,
):
    CancelTaskOperator(
        task_id="cancel",
        dinky_task_id="{{ var.value.get('dinky_stream_task', 1) }}",
        retries=2,
    )
