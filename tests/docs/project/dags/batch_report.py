# SPDX-License-Identifier: Apache-2.0
"""Run a batch job once a day and wait for its end."""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG(
    "batch_report",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
) as dag:
    SubmitTaskOperator(
        task_id="report",
        dinky_task_id=2,
        wait_for="finished",
        deferrable=True,
        timeout=3600,
        retries=2,
    )
