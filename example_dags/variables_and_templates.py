# SPDX-License-Identifier: Apache-2.0
"""Fill in the ``${day}`` of a task's SQL with the day of the DAG run, or with one chosen by hand.

``variables`` is templated like every Airflow field. ("Fragment" has to be switched on in the Dinky task.)

The task that is run: Airflow Variable ``dinky_backfill_task`` (in the sandbox: 3, ``backfill_day``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG(
    "dinky_variables_and_templates",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": Param(None, type=["null", "string"], format="date", description="empty: the run's day")},
    tags=["dinky"],
    doc_md=__doc__,
):
    SubmitTaskOperator(
        task_id="backfill",
        dinky_task_id="{{ var.value.get('dinky_backfill_task', 3) }}",
        variables={"day": "{{ params.day or ds }}"},
        wait_for="finished",
        timeout=3600,
        retries=2,
    )
