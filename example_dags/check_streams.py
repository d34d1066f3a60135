# SPDX-License-Identifier: Apache-2.0
"""Look every half an hour whether streams are well, and not only RUNNING.

A stream is well if its last checkpoint is not too old and Flink has not restarted it too often within the last hour. A
sick one has five minutes to get well; then its task fails, with one sentence for each thing that is wrong.

The tasks that are looked at: in the sandbox 10, ``orders_checkpointed``; put your own into the list.
"""

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.sensors.dinky import JobHealthSensor

with DAG(
    "dinky_check_streams",
    schedule="*/30 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["dinky"],
    doc_md=__doc__,
):
    JobHealthSensor.partial(
        task_id="is_well",
        max_checkpoint_age=timedelta(minutes=10),
        max_restarts=3,
        mode="reschedule",
        timeout=300,
    ).expand(dinky_task_id=[10])
