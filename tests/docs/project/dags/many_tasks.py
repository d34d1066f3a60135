# SPDX-License-Identifier: Apache-2.0
"""One mapped Airflow task for many Dinky tasks, and for many values of one Dinky task."""

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG("many_tasks", schedule=None) as dag:
    # --8<-- [start:many]
    @task
    def todays_jobs() -> list[dict[str, object]]:
        return [
            {"dinky_task_id": 2},
            {"dinky_task_id": 3, "variables": {"day": "2026-01-05"}},
        ]

    reports = SubmitTaskOperator.partial(
        task_id="reports",
        wait_for="finished",
        deferrable=True,
        retries=2,
        max_active_tis_per_dagrun=16,
    ).expand_kwargs(todays_jobs())
    # --8<-- [end:many]

    # --8<-- [start:values]
    days = SubmitTaskOperator.partial(
        task_id="days",
        dinky_task_id=3,
        if_running="submit",
        wait_for="finished",
        deferrable=True,
        retries=2,
        max_active_tis_per_dagrun=4,
    ).expand(variables=[{"day": "2026-01-06"}, {"day": "2026-01-07"}])
    # --8<-- [end:values]

    reports >> days
