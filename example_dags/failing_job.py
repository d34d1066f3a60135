# SPDX-License-Identifier: Apache-2.0
"""A job that fails, to see what the log says: the state, the root cause out of Flink's trace, and where to look.

The task that is run: Airflow Variable ``dinky_failing_task`` (in the sandbox: 4, ``parse_amounts``).
"""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG("dinky_failing_job", schedule=None, tags=["dinky"], doc_md=__doc__):
    SubmitTaskOperator(
        task_id="submit",
        dinky_task_id="{{ var.value.get('dinky_failing_task', 4) }}",
        wait_for="finished",
        timeout=3600,
    )
