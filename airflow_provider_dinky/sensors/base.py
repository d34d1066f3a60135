# SPDX-License-Identifier: Apache-2.0
"""What the sensors share: the hook, what a failure means in every mode, and what is kept between two pokes."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky._compat import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    is_deferral_timeout,
    left_of_execution_timeout,
    state_store,
)
from airflow_provider_dinky.exceptions import JobTimeoutError, as_airflow_errors

if TYPE_CHECKING:
    from airflow_provider_dinky.hooks.dinky import DinkyHook

log = logging.getLogger(__name__)

_KEPT = timedelta(days=7)
"""How long Airflow keeps a note at least: it is only of use while the try goes on, and each poke renews it."""


class DinkySensor(BaseSensorOperator):
    """Base of the sensors.

    Whatever fails the sensor skips it under ``soft_fail``: at the first look, at a later one, after a deferral, and
    when the time is up. ``never_fail`` and ``silent_fail`` are Airflow's own, since every look is one of its pokes.
    """

    ui_color = "#e3f0fb"
    dinky_conn_id: str

    @cached_property
    def hook(self) -> DinkyHook:
        """The hook of the connection."""
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(self.dinky_conn_id)

    def poke(self, context: Context) -> bool:
        """One look.

        :raises AirflowException: waiting would not help; says why.
        :raises AirflowSkipException: the same under ``soft_fail``.
        """
        try:
            with as_airflow_errors():
                return self._look(context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if self.soft_fail:
                # Airflow itself would skip for some of its exceptions only.
                raise AirflowSkipException(str(error)) from error
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's way back from a deferral; one that timed out ends as a time-out on a worker would."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if not is_deferral_timeout(error):
                raise
            with self.hook:
                what = self._timed_out(context)
            if self.soft_fail or isinstance(error, AirflowSkipException):
                raise AirflowSkipException(what) from error
            # As on a worker: Airflow tries again after an execution_timeout, and not after the sensor's own time-out.
            raise (JobTimeoutError if self._is_execution_timeout(context) else AirflowSensorTimeout)(
                what
            ) from error

    def _is_execution_timeout(self, context: Context) -> bool:
        limit = self.execution_timeout
        if limit is None:
            return False
        # Before Airflow 3.3 a task that comes back from a deferral does not know when it was first started.
        return left_of_execution_timeout(context, self) == 0 or limit.total_seconds() <= self.timeout

    def _limit(self, context: Context) -> str:
        """Which time-out has ended a deferral."""
        if self._is_execution_timeout(context) and self.execution_timeout is not None:
            return f"its execution_timeout of {self.execution_timeout.total_seconds():g} s"
        return f"the sensor's timeout of {self.timeout:g} s"

    @abstractmethod
    def _look(self, context: Context) -> bool:
        """One look; whether it was the last. Errors of the client may come out."""

    def _timed_out(self, context: Context) -> str:
        """What is said when a deferral took too long."""
        return f"connection '{self.dinky_conn_id}': not there after {self.timeout:g} s"

    def _clock(self) -> float:
        """Seconds on a clock that all the looks of a try share: in reschedule mode each is a process of its own."""
        return time.time() if self.mode == "reschedule" else time.monotonic()

    def _memory(self, context: Context) -> PokeMemory:
        return PokeMemory(context, rescheduled=self.mode == "reschedule")


class PokeMemory:
    """Keeps what a try of a sensor has seen until its next poke, where Airflow has a place for it.

    In reschedule mode that is the task state store of Airflow 3.3. Before that nothing is kept: Airflow deletes a
    task's XComs whenever it starts it again.

    :param rescheduled: whether the next poke will be another process.
    """

    _KEY = "dinky_poke"

    def __init__(self, context: Context, *, rescheduled: bool) -> None:
        ti: Any = context["ti"]
        self._try = getattr(ti, "try_number", None)
        self._store = state_store(context) if rescheduled else None
        self.forgets = rescheduled and self._store is None
        """Whether nothing is remembered until the next poke, so that this one should say little."""

    def restore(self, take: Callable[[dict[str, Any]], None]) -> bool:
        """Hand on what the poke before has kept; returns whether there was something that could be used."""
        if self._store is None:
            return False
        try:
            kept = self._store.get(self._KEY)
            # Another try has a log of its own.
            if not isinstance(kept, dict) or kept["try"] != self._try:
                return False
            take(kept)
        except Exception:
            log.debug("The task state store could not be read; a line may come once more", exc_info=True)
            return False
        return True

    def keep(self, what: dict[str, Any]) -> None:
        """Keep something JSON-able for the next poke."""
        if self._store is None:
            return
        try:
            self._store.set(self._KEY, {"try": self._try, **what}, retention=_KEPT)
        except Exception:
            log.debug("The task state store could not be written; a line will come once more", exc_info=True)
