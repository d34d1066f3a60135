# SPDX-License-Identifier: Apache-2.0
"""Runs an operator as Airflow does, deferral included, without a scheduler: what a task's process sees."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred


class TaskInstance:
    """The few things of Airflow's task instance that operators use; XCom is a dict."""

    def __init__(
        self, task: Any, *, run_id: str = "run1", map_index: int = -1, clears: int = 0, try_number: int = 1
    ) -> None:
        self.task = task
        self.dag_id, self.run_id, self.task_id, self.map_index = "dag1", run_id, task.task_id, map_index
        self.max_tries = task.retries + clears
        self.try_number = clears + try_number
        self.xcom: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = value

    def get_first_reschedule_date(self, context: Any) -> None:
        """Nothing is known of earlier pokes of a sensor in reschedule mode."""

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcom.get(key)


class StateStore(dict[str, Any]):
    """The task state store of Airflow 3.3, in memory."""

    def set(self, key: str, value: Any, *, retention: Any) -> None:
        self[key] = json.loads(json.dumps(value))


def new_context(task: Any, *, store: StateStore | None = None, **ti: Any) -> Any:
    """The context of one try of a task, with a task state store or, as before Airflow 3.3, without."""
    context: dict[str, Any] = {"ti": TaskInstance(task, **ti)}
    if store is not None:
        context["task_state_store"] = store
    return context


def execute(task: Any, context: Any, seconds: float = 60.0) -> Any:
    """Run a task to its end, its trigger in between as the triggerer would: made anew from what was stored.

    :param seconds: how long a trigger may take; one that hangs is a :class:`TimeoutError`.
    """
    try:
        return task.execute(context)
    except TaskDeferred as deferred:
        while True:
            method, kwargs = _resumed_with(deferred, seconds)
            try:
                return task.resume_execution(method, kwargs, context)
            except TaskDeferred as again:
                deferred = again


def _resumed_with(deferred: TaskDeferred, seconds: float) -> tuple[str, dict[str, Any]]:
    """With what Airflow resumes the task: the trigger's event, or that the deferral has timed out."""
    timeout = deferred.timeout.total_seconds() if deferred.timeout is not None else float("inf")
    try:
        event = asyncio.run(first_event(rebuilt(deferred.trigger), min(seconds, timeout)))
    except asyncio.TimeoutError:
        if timeout > seconds:
            raise
        return "__fail__", {"error": "Trigger timeout"}
    return deferred.method_name, {**(deferred.kwargs or {}), "event": event}


def rebuilt(trigger: Any) -> Any:
    """The trigger as another process makes it out of its serialised form."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


async def first_event(trigger: Any, seconds: float = 60.0) -> Any:
    """What a trigger says first."""
    events = trigger.run()
    try:
        return (await asyncio.wait_for(anext(events), seconds)).payload
    finally:
        await events.aclose()
