# SPDX-License-Identifier: Apache-2.0
"""Bring a change of a stream's SQL into production, in one Airflow task.

Dinky checks the SQL while the old job still runs. Then: savepoint, stop, start from it, and wait until the new job has
completed its first checkpoint. If it fails before, or takes more than ten minutes, it is stopped, the job is started
again from the savepoint, and the Airflow task fails and says why.

The task that is deployed: Airflow Variable ``dinky_checkpointed_task`` (in the sandbox: 10, ``orders_checkpointed``).
"""

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import RestartTaskOperator

with DAG(
    "dinky_deploy_stream",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    max_active_runs=1,
    tags=["dinky"],
    doc_md=__doc__,
):
    RestartTaskOperator(
        task_id="deploy",
        dinky_task_id="{{ var.value.get('dinky_checkpointed_task', 10) }}",
        check_sql=True,
        method="steps",
        wait_for="checkpointed",
        timeout=600,
        deferrable=True,
    )
