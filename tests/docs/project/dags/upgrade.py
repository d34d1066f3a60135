# SPDX-License-Identifier: Apache-2.0
"""Bring the SQL that was just saved in Dinky into the running job, with the job's state."""

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, task

from airflow_provider_dinky.operators.dinky import RestartTaskOperator

STREAM = 1

with DAG("upgrade", schedule=None, max_active_runs=1) as dag:

    @task
    def check_sql() -> None:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            problems = [str(found.reason) for found in hook.explain_sql(STREAM) if found.error]
        if problems:
            raise AirflowFailException("\n".join(problems))

    check_sql() >> RestartTaskOperator(
        task_id="restart",
        dinky_task_id=STREAM,
        wait_for="running",
        deferrable=True,
        timeout=900,
    )
