# SPDX-License-Identifier: Apache-2.0
"""What every operator has: a Dinky task, a connection, a hook."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky._compat import BaseOperator, Context, asset_state_stores
from airflow_provider_dinky.followed import stopped_key
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION

if TYPE_CHECKING:
    from airflow_provider_dinky.hooks.dinky import DinkyHook


class DinkyOperator(BaseOperator):
    """Base of the operators that do something with one Dinky task.

    :param dinky_task_id: Dinky's id of the task. Templated.
    :param dinky_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = ("dinky_task_id", "dinky_conn_id")
    ui_color = "#e3f0fb"

    def __init__(
        self, *, dinky_task_id: int | str, dinky_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dinky_task_id = dinky_task_id
        self.dinky_conn_id = dinky_conn_id

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

    def _announce_stop(self, context: Context, dinky_task_id: int, job_instance_id: int) -> None:
        """Tell the event trigger of an asset that is an inlet or outlet of this task that Airflow stops this job."""
        for store in asset_state_stores(context, self):
            try:
                store.set(stopped_key(dinky_task_id), job_instance_id)
            except Exception:
                # An event too many is the worst that comes of it.
                self.log.warning("The watched asset's state could not be written", exc_info=True)

    def _checked_task_id(self) -> int:
        from airflow_provider_dinky.hooks.dinky import checked_id

        return checked_id(self.dinky_task_id, "dinky_task_id", self.dinky_conn_id)
