# SPDX-License-Identifier: Apache-2.0
"""Checking the SQL of a Dinky task without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_dinky._compat import Context
from airflow_provider_dinky.exceptions import as_airflow_errors
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.operators.base import DinkyOperator
from airflow_provider_dinky.parameters import variables_of


class ExplainTaskOperator(DinkyOperator):
    """Lets Dinky check the SQL of a task (its ``explainSql``), and fails with the line and the reason.

    Nothing is started or stopped. SQL that is wrong fails the Airflow task at once, without retries.

    XCom: returns how many statements were found to be fine.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param variables: values for ``${name}`` in the task's SQL, as a submit would carry them. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = (*DinkyOperator.template_fields, "variables")
    template_fields_renderers = {"variables": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        dinky_task_id: int | str,
        variables: Mapping[str, Any] | None = None,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(dinky_task_id=dinky_task_id, dinky_conn_id=dinky_conn_id, **kwargs)
        self.variables = variables

    def execute(self, context: Context) -> int:
        """Check the SQL."""
        from airflow_provider_dinky.sql_check import check_sql

        with as_airflow_errors(), self.hook:
            variables = variables_of(self.variables, self.dinky_conn_id)
            return check_sql(self.hook, self._checked_task_id(), variables)
