# SPDX-License-Identifier: Apache-2.0
"""Submit a job, then wait for its end without occupying a worker.

``submit`` is done as soon as Dinky has accepted the job; ``wait`` is deferred to the triggerer until the job is
FINISHED, and fails with Flink's root cause if the job does.

The task that is run: Airflow Variable ``dinky_report_task`` (in the sandbox: 2, ``daily_report``).
"""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sensors.dinky import JobStatusSensor

with DAG("dinky_submit_and_wait", schedule=None, tags=["dinky"], doc_md=__doc__):
    submit = SubmitTaskOperator(
        task_id="submit",
        dinky_task_id="{{ var.value.get('dinky_report_task', 2) }}",
        wait_for="submitted",
        retries=2,
    )
    JobStatusSensor(task_id="wait", job_instance_id=submit.output, deferrable=True, timeout=3600)
