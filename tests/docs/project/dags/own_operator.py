# SPDX-License-Identifier: Apache-2.0
"""An operator of one's own that waits in the triggerer for a job."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowException, BaseOperator, Context

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger


# --8<-- [start:operator]
class FollowJobOperator(BaseOperator):
    """Waits for a job, and returns its state whether or not it went well."""

    template_fields = ("job_instance_id",)

    def __init__(self, *, job_instance_id: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_instance_id = job_instance_id

    def execute(self, context: Context) -> None:
        self.defer(
            trigger=JobStatusTrigger(int(self.job_instance_id), wait_for="finished"),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        if event["kind"] != "state":
            raise AirflowException(f"The job could not be followed: {event['error']}")
        return str(event["status"])


# --8<-- [end:operator]

with DAG("own_operator", schedule=None) as dag:
    submit = SubmitTaskOperator(task_id="submit", dinky_task_id=4, wait_for="submitted")
    FollowJobOperator(task_id="follow", job_instance_id=submit.output)
