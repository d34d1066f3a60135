# SPDX-License-Identifier: Apache-2.0
"""Let a second Dinky task take over from the first one's state, and stop the first one when the second is up."""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)

with DAG("blue_green", schedule=None, max_active_runs=1, params={"blue": 1, "green": 9}) as dag:
    savepoint = SavepointTaskOperator(task_id="savepoint", dinky_task_id="{{ params.blue }}")
    start_green = SubmitTaskOperator(
        task_id="start_green",
        dinky_task_id="{{ params.green }}",
        savepoint_path=savepoint.output,
        if_running="fail",
        wait_for="running",
        deferrable=True,
        timeout=900,
        cancel_on_kill="cancel",
    )
    start_green >> CancelTaskOperator(task_id="stop_blue", dinky_task_id="{{ params.blue }}", retries=2)
