# SPDX-License-Identifier: Apache-2.0
"""Use Dinky from Python code of one's own: run a plain-SQL task and work with its rows.

Everything the operators do is a method of the hook. A task in plain SQL (PostgreSQL, MySQL, Doris ...) is done when
the submit answers, and brings its rows along.

The task that is run: Airflow Variable ``dinky_customers_task`` (in the sandbox: 6, ``count_customers``).
"""

from airflow.providers.common.compat.sdk import DAG, Variable, task

with DAG("dinky_hook_in_a_task", schedule=None, tags=["dinky"], doc_md=__doc__):

    @task
    def count_customers() -> int:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        with DinkyHook() as hook:
            result = hook.submit_task(int(Variable.get("dinky_customers_task", 6))).result
        rows = result.row_data if result else ()
        return sum(int(row["customers"]) for row in rows)

    @task
    def report(customers: int) -> None:
        print(f"{customers} customers in all countries")

    report(count_customers())
