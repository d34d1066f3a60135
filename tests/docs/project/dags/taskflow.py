# SPDX-License-Identifier: Apache-2.0
"""Operators between functions: one chooses what the job is to do, another looks at what it did."""

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

with DAG("taskflow", schedule=None) as dag:

    @task
    def choose_day() -> dict[str, str]:
        return {"day": "2026-01-05"}

    @task
    def report(job_instance_id: int) -> str:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            job = hook.get_job_instance(job_instance_id)
        return f"{job.name} is {job.status}"

    backfill = SubmitTaskOperator(
        task_id="backfill",
        dinky_task_id=3,
        variables=choose_day(),
        wait_for="finished",
    )
    report(backfill.output)
