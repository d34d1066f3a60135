# SPDX-License-Identifier: Apache-2.0
"""What the hook can do that no operator does."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, task

with DAG("hook_examples", schedule=None) as dag:
    # --8<-- [start:savepoint]
    @task
    def newest_savepoint() -> str | None:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            savepoints = hook.list_savepoints(1)
        return savepoints[0].path if savepoints else None

    # --8<-- [end:savepoint]

    # --8<-- [start:lineage]
    @task
    def tables() -> list[str]:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            lineage = hook.get_task_lineage(1)
        return [table["name"] for table in lineage.tables] if lineage else []

    # --8<-- [end:lineage]

    newest_savepoint()
    tables()
