# SPDX-License-Identifier: Apache-2.0
"""Wait for the next job of a Dinky task that something else starts."""

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_dinky.sensors.dinky import JobStatusSensor

REPORT = 2

with DAG("wait_for_others", schedule=None) as dag:

    @task
    def newest_so_far() -> int:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            newest = hook.get_latest_job_instance(REPORT)
        return newest.id if newest else 0

    JobStatusSensor(
        task_id="wait",
        dinky_task_id=REPORT,
        newer_than_job_instance_id=newest_so_far(),
        wait_for="finished",
        mode="reschedule",
        poke_interval=60,
        timeout=6 * 3600,
    )
