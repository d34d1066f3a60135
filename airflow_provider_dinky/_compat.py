# SPDX-License-Identifier: Apache-2.0
"""Every branch on the Airflow version, and every name whose place differs between versions."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
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

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "TaskDeferralTimeout",
    "conf",
    "connection_form_widgets",
    "default_deferrable",
    "deferral_timed_out",
    "is_retry",
    "read_xcom",
    "run_key",
    "state_store",
]


def deferral_timed_out(error: TaskDeferralTimeout) -> bool:
    """Whether a deferral ended by its time-out, and not by a trigger that failed."""
    return "timeout" in str(error).lower()


def default_deferrable() -> bool:
    """Airflow's ``[operators] default_deferrable``."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def run_key(context: Context) -> str:
    """What one run of an Airflow task is called in Dinky: ``dag/run/task/map index/generation``.

    The generation is the same for all retries and another one after a clear: Airflow raises ``max_tries`` by the
    number of tries used when a task is cleared, and leaves it alone when it retries.
    """
    ti: Any = context["ti"]
    retries = getattr(getattr(ti, "task", None), "retries", None) or 0
    generation = (getattr(ti, "max_tries", None) or 0) - retries
    map_index = getattr(ti, "map_index", -1)
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{map_index}/{generation}"


def is_retry(context: Context) -> bool:
    """Whether an earlier try of the same run has been, by Airflow's own count of tries since the last clear."""
    ti: Any = context["ti"]
    retries = getattr(getattr(ti, "task", None), "retries", None) or 0
    first = (getattr(ti, "max_tries", None) or 0) - retries + 1
    return (getattr(ti, "try_number", None) or 1) > first


def state_store(context: Context) -> Any:
    """Airflow's task state store, shared by the tries of a task instance (3.3 on); None where there is none."""
    fields: Any = context
    return fields.get("task_state_store")


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
