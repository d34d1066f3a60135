# SPDX-License-Identifier: Apache-2.0
"""Restarting the job of a Dinky task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dinky._compat import Context
from airflow_provider_dinky.exceptions import as_airflow_errors
from airflow_provider_dinky.operators.starting import StartingOperator
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.restart import Method


class RestartTaskOperator(StartingOperator):
    """Restarts the job of a Dinky task from a savepoint, and never leaves it down silently.

    Without a path: takes a savepoint, stops the job and resumes from it; with one: stops the job and resumes from
    that. If the new start fails, the job is started again from the savepoint just taken, and the Airflow task fails
    with both reasons; if the savepoint fails, nothing is touched. A job that Dinky lost sight of (UNKNOWN) is never
    restarted. On a task that does not run, restart is a plain start.

    With ``wait_for="checkpointed"`` this is a deployment in one task: check the SQL (``check_sql``), savepoint, stop,
    start from it, wait until the first checkpoint is complete; if the new job fails before, or takes longer than
    ``timeout``, it is stopped and the job is started again from the savepoint.

    XCom: as SubmitTaskOperator; ``savepoint_path`` is what the new job was started from.

    :param method: ``endpoint`` is Dinky's own restartTask; ``steps`` does the same in steps of our own; ``auto``
        takes the endpoint where that can do the whole job: signed in, no variables, no path.
    :param stop_timeout: seconds the old job may take to end.

    The other parameters are those of :class:`~airflow_provider_dinky.operators.starting.StartingOperator`.
    ``savepoint_path=None`` takes a new savepoint, and so do ``latest`` and ``latest-state`` while the job runs, since
    there is no newer state than that. ``variables=None`` takes over those of the running job, where Dinky shows them
    (signed in).
    """

    def __init__(self, *, method: Method = "auto", stop_timeout: float = 180.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method = choice("method", method, ("auto", "endpoint", "steps"))
        self.stop_timeout = seconds("stop_timeout", stop_timeout)

    def execute(self, context: Context) -> int | None:
        """Restart, then follow the new job."""
        with as_airflow_errors(), self.hook:
            self._check_view()
            starter = self._starter(context, self._checked_task_id())
            return self._restart(context, starter, self._given_variables(), method=self.method)
