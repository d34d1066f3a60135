# SPDX-License-Identifier: Apache-2.0
"""Every branch on the Airflow version, and every name whose place differs between versions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Context,
    conf,
)

try:
    from airflow.sdk.exceptions import TaskDeferralTimeout
except ImportError:
    try:  # Airflow 3.0 and 3.1
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # Airflow 2.11 has one error for all that goes wrong while a task is deferred
        from airflow.exceptions import TaskDeferralError as TaskDeferralTimeout  # type: ignore[no-redef]

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

log = logging.getLogger(__name__)

_GENERATION_KEY = "dinky_generation"

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "TaskDeferralTimeout",
    "asset_state_stores",
    "conf",
    "connection_form_widgets",
    "default_deferrable",
    "deferral_timed_out",
    "is_deferral_timeout",
    "is_retry",
    "left_of_execution_timeout",
    "mask_in_logs",
    "read_xcom",
    "run_key",
    "state_in_airflow",
    "state_store",
    "was_rescheduled",
]


def __getattr__(name: str) -> Any:
    # Not at the top: operators need no triggers to be imported, which takes longer than all the rest.
    if name != "BaseEventTrigger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow.triggers import base

    # Airflow 2.11 has no event triggers: there it is only a trigger that nothing would run.
    return getattr(base, name, base.BaseTrigger)


def deferral_timed_out(error: TaskDeferralTimeout) -> bool:
    """Whether a deferral ended by its time-out, and not by a trigger that failed."""
    return "timeout" in str(error).lower()


def is_deferral_timeout(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that a deferral timed out."""
    while error is not None:
        if isinstance(error, TaskDeferralTimeout):
            return deferral_timed_out(error)
        error = error.__cause__
    return False


def left_of_execution_timeout(context: Context, task: Any) -> float | None:
    """Seconds that are left of a task's ``execution_timeout``; None for none.

    Airflow 3 does not apply it while a task is deferred.
    """
    limit: timedelta | None = getattr(task, "execution_timeout", None)
    if limit is None:
        return None
    started = getattr(context["ti"], "start_date", None)
    if not isinstance(started, datetime):
        return limit.total_seconds()
    elapsed = (datetime.now(timezone.utc) - started).total_seconds()
    return max(0.0, limit.total_seconds() - max(0.0, elapsed))


def was_rescheduled(context: Context) -> bool:
    """Whether an earlier poke of the same try of a sensor in reschedule mode has been, as far as Airflow tells."""
    ti: Any = context["ti"]
    first = getattr(ti, "get_first_reschedule_date", None)
    # Airflow 2.11 does not tell: a mistake in the connection then shows when the sensor's time is up.
    return first is None or first(context) is not None


async def state_in_airflow(task_instance: Any) -> tuple[str | None, int | None]:
    """The state that Airflow has of a task instance now, and its try number, for a trigger (3.3 on).

    The state is None after a clear; the try number is None where Airflow does not tell it.

    :raises Exception: it cannot be asked, or does not know the task instance.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetPreviousTI, GetTaskStates

    ti: Any = task_instance
    ask: Any = task_runner.SUPERVISOR_COMMS.asend
    answer = await ask(
        GetTaskStates(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index)
    )
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    state = answer.task_states[ti.run_id][name]
    try_number: int | None = None
    with suppress(Exception):
        # Of the newest run only, which is nearly always the one that is meant.
        question = GetPreviousTI(dag_id=ti.dag_id, task_id=ti.task_id, map_index=ti.map_index)
        newest = (await ask(question)).task_instance
        if newest is not None and newest.run_id == ti.run_id:
            try_number = newest.try_number
    return None if state is None else str(getattr(state, "value", state)), try_number


def default_deferrable() -> bool:
    """Airflow's ``[operators] default_deferrable``."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def mask_in_logs(secrets: Iterable[str]) -> None:
    """Have Airflow hide these texts in its logs; where it does not know its masker's place, nothing happens."""
    mask: Any = None
    for place in (
        "airflow.sdk.log",  # from 3.1
        "airflow.sdk.execution_time.secrets_masker",  # 3.0
        "airflow.utils.log.secrets_masker",  # 2.11
    ):
        with suppress(ImportError, AttributeError):
            mask = import_module(place).mask_secret
            break
    for secret in secrets if mask is not None else ():
        mask(secret)


def run_key(context: Context) -> str:
    """What one run of an Airflow task is called in Dinky: ``dag/run/task/map index/generation``.

    The generation is the same for all retries and another one after a clear.
    """
    ti: Any = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{map_index}/{_generation(context)}"


def is_retry(context: Context) -> bool:
    """Whether an earlier try of the same run has been, by Airflow's own count of tries since the last clear."""
    ti: Any = context["ti"]
    return (getattr(ti, "try_number", None) or 1) > _tries_before_the_clear(ti) + 1


def _tries_before_the_clear(ti: Any) -> int:
    # Airflow raises max_tries by the number of tries used when a task is cleared, and leaves it alone when it
    # retries. A negative number only says that the DAG's retries were raised since.
    retries = getattr(getattr(ti, "task", None), "retries", None) or 0
    return max(0, (getattr(ti, "max_tries", None) or 0) - retries)


def _generation(context: Context) -> int:
    """Tries used before the last clear, as the first try since has counted them.

    That is written down where it can be, since a later try counts wrong if the DAG's ``retries`` were changed.
    """
    ti: Any = context["ti"]
    counted, store = _tries_before_the_clear(ti), state_store(context)
    if store is None:
        return counted
    fields: Any = context
    now = {
        "generation": counted,
        "max_tries": getattr(ti, "max_tries", None),
        "try_number": getattr(ti, "try_number", None) or 1,
        "clear_number": getattr(fields.get("dag_run"), "clear_number", None),
    }
    known = store.get(_GENERATION_KEY)
    if isinstance(known, dict) and _is_same_generation(known, now):
        return int(known["generation"])
    try:
        store.set(_GENERATION_KEY, now, retention=timedelta.max)
    except Exception:
        # It is needed only if somebody changes the DAG before the next try.
        log.warning("The task state store could not be written", exc_info=True)
    return counted


def _is_same_generation(known: dict[str, Any], now: dict[str, Any]) -> bool:
    numbers = [known.get("generation"), known.get("try_number")]
    if not all(isinstance(number, int) for number in numbers) or known.get("max_tries") != now["max_tries"]:
        return False
    # The same max_tries is nearly always the same generation. Only a clear after the DAG's retries were lowered by
    # just the number of tries used comes to it as well; Airflow counts the clears of a DAG run.
    return (
        now["generation"] == known["generation"]
        or now["generation"] < known["try_number"]
        or (now["clear_number"] is not None and now["clear_number"] == known.get("clear_number"))
    )


def state_store(context: Context) -> Any:
    """Airflow's task state store, shared by the tries of a task instance (3.3 on); None where there is none."""
    fields: Any = context
    return fields.get("task_state_store")


def asset_state_stores(context: Context, task: Any) -> list[Any]:
    """The state stores of the assets that are inlets or outlets of a task (3.3 on); none where there are none."""
    fields: Any = context
    stores = fields.get("asset_state_store")
    if stores is None:
        return []
    found = []
    for asset in (*(task.inlets or ()), *(task.outlets or ())):
        with suppress(KeyError, TypeError):
            found.append(stores[asset])
    return found


def read_xcom(ti_key: Any, key: str) -> Any:
    """An XCom of a task instance, for a link; None where there is none."""
    from airflow.providers.common.compat.sdk import XCom

    return XCom.get_value(ti_key=ti_key, key=key)


def connection_form_widgets(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The connection form's extra fields as Airflow up to 3.1 wants them; later ones read the manifest."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, StringField
    from wtforms.validators import Optional

    kinds = {"boolean": BooleanField, "integer": IntegerField, "number": IntegerField, "string": StringField}
    widgets: dict[str, Any] = {}
    for name, spec in fields.items():
        kind = spec["schema"]["type"][0]
        options: dict[str, Any] = {
            "description": spec["description"],
            "default": spec["schema"].get("default"),
        }
        if kind != "boolean":
            options |= {"validators": [Optional()], "widget": BS3TextFieldWidget()}
        widgets[name] = kinds[kind](lazy_gettext(spec["label"]), **options)
    return widgets
