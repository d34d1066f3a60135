# SPDX-License-Identifier: Apache-2.0
"""Try a job on another Dinky with the state of the one in production, which runs on meanwhile.

The path that ``savepoint`` returns is where ``submit`` starts from. Both Dinkys have to reach the place where it is.

The task of the savepoint: Airflow Variable ``dinky_stream_task`` (in the sandbox: 1, ``orders_stream``); the other
Dinky's connection and task: Variables ``dinky_other_conn`` (default ``dinky_other``) and ``dinky_other_task`` (1).
"""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SavepointTaskOperator, SubmitTaskOperator

with DAG("dinky_savepoint_then_submit_elsewhere", schedule=None, tags=["dinky"], doc_md=__doc__):
    savepoint = SavepointTaskOperator(
        task_id="savepoint",
        dinky_task_id="{{ var.value.get('dinky_stream_task', 1) }}",
    )
    SubmitTaskOperator(
        task_id="submit",
        dinky_conn_id="{{ var.value.get('dinky_other_conn', 'dinky_other') }}",
        dinky_task_id="{{ var.value.get('dinky_other_task', 1) }}",
        savepoint_path=savepoint.output,
        wait_for="running",
        deferrable=True,
        timeout=600,
    )
