# SPDX-License-Identifier: Apache-2.0
"""Runs operators and sensors as Airflow does, against live servers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from airflow.exceptions import AirflowRescheduleException

from tests.airflow_task import StateStore, execute, new_context

from .live_dinky import until

GUARD = 600.0
"""Seconds after which a deferred task counts as hanging."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Way:
    """A way into Dinky: a connection, and Flink's address where it may ask Flink itself."""

    name: str
    conn_id: str
    flink: str | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether it has credentials."""
        return self.name == "authenticated"

    @property
    def sees_flink(self) -> bool:
        """Whether it is told what only Flink knows, by Dinky or by Flink."""
        return self.name != "anonymous"

    def of(self, operator: type[Any], **kwargs: Any) -> Any:
        """An operator, or a sensor, that goes this way and looks often."""
        names = signature(operator.__init__).parameters
        for interval in ("poll_interval", "poke_interval"):
            if interval in names:
                kwargs.setdefault(interval, 1.0)
        if "job_manager_address" in names and self.flink:
            kwargs.setdefault("job_manager_address", self.flink)
        return operator(task_id=kwargs.pop("task_id", "task"), dinky_conn_id=self.conn_id, **kwargs)


@dataclass
class Run:
    """One run of an Airflow task, with the task state store of Airflow 3.3."""

    task: Any
    run_id: str = field(default_factory=lambda: f"run{next(_numbers)}")
    store: StateStore = field(default_factory=StateStore)
    xcom: dict[str, Any] = field(default_factory=dict)

    def __call__(self, **ti: Any) -> Any:
        """What the task returns; what it raises comes out."""
        context = new_context(self.task, store=self.store, run_id=self.run_id, **ti)
        self.xcom = context["ti"].xcom
        return execute(self.task, context, GUARD)

    def rescheduled(self, make: Callable[[], Any]) -> Any:
        """The same of a sensor in reschedule mode: each poke in a process of its own, which remembers nothing."""
        deadline = iter(range(int(GUARD)))

        def poke() -> list[Any]:
            next(deadline)
            self.task = make()
            try:
                return [self()]
            except AirflowRescheduleException:
                return []

        return until(poke, GUARD)[0]


class InBackground:
    """A run in a thread, for what happens to servers meanwhile."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What it returns or raises, once it has come to its end."""
        self._thread.join(GUARD)
        assert self.is_over, f"still running after {GUARD:g} s"
        if self._error is not None:
            raise self._error
        return self._result

    def _main(self) -> None:
        try:
            self._result = self._run()
        except BaseException as error:
            self._error = error
