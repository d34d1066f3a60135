# SPDX-License-Identifier: Apache-2.0
"""Start a streaming job that does not run yet, from a savepoint if one is given, and see that it comes up."""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG("streaming_deploy", schedule=None, params={"dinky_task_id": 1, "savepoint_path": ""}) as dag:
    SubmitTaskOperator(
        task_id="deploy",
        dinky_task_id="{{ params.dinky_task_id }}",
        savepoint_path="{{ params.savepoint_path }}",
        if_running="fail",
        wait_for="running",
        timeout=900,
        cancel_on_kill="cancel",
    )
