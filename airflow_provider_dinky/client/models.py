# SPDX-License-Identifier: Apache-2.0
"""What Dinky answers, typed.

Names are Dinky's in snake_case, except where Airflow or Flink has the word already: ``taskId`` is
``dinky_task_id`` and ``jid`` is ``job_id`` (Flink's). Fields that a newer Dinky adds are kept
(``model_extra``). Times are strings as Dinky sends them: they carry no zone and mix two, so don't compute
with them. Models never show SQL or rows in their ``repr``: SQL holds passwords.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from airflow_provider_dinky.client.java import root_cause
from airflow_provider_dinky.client.job_config import JobConfig
from airflow_provider_dinky.client.masking import mask_secrets
from airflow_provider_dinky.client.model import DinkyModel, FinishTime, Lenient, Text
from airflow_provider_dinky.client.status import JobStatus

RUN_KEY_VARIABLE = "airflow_run_key"
"""The extra variable that marks a submit as ours; Dinky keeps it in its history, the SQL never sees it."""


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


def _none_if_no_number(value: Any) -> Any:
    return value if isinstance(value, (int, str)) and str(value).strip().isdigit() else None


def _json_in_a_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _path_in(settings: JobConfig | None) -> str | None:
    path = settings.save_point_path if settings is not None else None
    return path if isinstance(path, str) and path else None


class StatementResult(Lenient):
    """Rows of a statement: of a plain-SQL task, or of a Flink query."""

    columns: tuple[str, ...] | None = None
    row_data: tuple[dict[str, Any], ...] | None = Field(default=None, repr=False)
    success: bool | None = None
    error: Text = Field(default=None, repr=False)
    total: int | None = None
    page: int | None = None
    limit: int | None = None
    time: int | None = None
    start_time: Text = None
    end_time: Text = None
    job_id: str | None = None


class SubmitResult(Lenient):
    """Answer of a submit or restart.

    ``job_instance_id`` and ``job_id`` are None for a task in plain SQL, which is done when the submit answers.
    ``id`` is Dinky's history id of the submit.
    """

    decisive = frozenset({"id", "job_instance_id", "success"})

    id: int | None = None
    job_instance_id: int | None = None
    job_id: Text = None
    job_manager_address: Text = None
    success: bool
    job_config: JobConfig | None = None
    result: StatementResult | None = Field(default=None, repr=False)
    results: tuple[StatementResult, ...] | None = Field(default=None, repr=False)
    status: Text = None
    statement: Text = Field(default=None, repr=False)
    error: Text = Field(default=None, repr=False)
    start_time: Text = None
    end_time: Text = None

    @property
    def savepoint_path(self) -> str | None:
        """The savepoint the job was started from, or None."""
        return _path_in(self.job_config if isinstance(self.job_config, JobConfig) else None)

    def rows(self, limit: int) -> dict[str, Any]:
        """The rows of a task in plain SQL, JSON-able: ``columns``, ``rows``, and whether some were left out."""
        statement = self.result if isinstance(self.result, StatementResult) else StatementResult()
        # What is of an unexpected kind is kept as it came, and is no rows.
        rows = list(statement.row_data) if isinstance(statement.row_data, tuple) else []
        return {
            "columns": list(statement.columns) if isinstance(statement.columns, tuple) else [],
            "rows": rows[:limit],
            "truncated": len(rows) > limit,
        }

    @property
    def is_plain_sql(self) -> bool:
        """Whether the task was plain SQL: no Flink job exists, and the rows are in ``result``."""
        return self.job_instance_id is None and not self.job_id


class JobState(DinkyModel):
    """The state of one run of a Dinky task, out of a list of a thousand: nothing else is kept."""

    model_config = ConfigDict(extra="ignore")

    id: int
    job_id: Text = Field(
        default=None, validation_alias=AliasChoices("jid", "job_id"), serialization_alias="jid"
    )
    status: JobStatus = JobStatus.UNKNOWN
    type: Text = None
    error: Text = Field(default=None, repr=False)


class JobInstance(JobState):
    """One run of a Dinky task. ``duration`` is in milliseconds; ``finish_time`` is None while the job runs."""

    model_config = ConfigDict(extra="allow")

    name: Text = None
    dinky_task_id: int | None = Field(default=None, alias="taskId")
    history_id: int | None = None
    tenant_id: int | None = None
    cluster_id: int | None = None
    step: int | None = None
    create_time: Text = None
    update_time: Text = None
    finish_time: FinishTime = None
    duration: int | None = None
    failed_restart_count: int | None = None


class Savepoint(DinkyModel):
    """One savepoint that Dinky took, as it remembers it."""

    id: int
    path: str
    dinky_task_id: int | None = Field(default=None, alias="taskId")
    name: Text = None
    type: Text = None
    tenant_id: int | None = None
    create_time: Text = None


class SavepointJob(DinkyModel):
    """What became of one Flink job in a savepoint call."""

    job_id: Text = None
    save_point: Text = None
    status: Text = None


class SavepointResult(DinkyModel):
    """Answer of a savepoint call. Dinky's own ``success`` in it is false even when it worked; ``path`` counts."""

    job_infos: Annotated[tuple[SavepointJob, ...], BeforeValidator(_none_is_empty)] = ()
    type: Text = None
    start_time: Text = None
    end_time: Text = None
    exception_msg: Text = Field(default=None, repr=False)
    error: Text = Field(default=None, repr=False)

    @property
    def path(self) -> str | None:
        """Path of the savepoint, or None where Dinky names none."""
        return next((job.save_point for job in self.job_infos if job.save_point), None)

    @property
    def job_id(self) -> str | None:
        """Flink's id of the job the savepoint is of."""
        return next((job.job_id for job in self.job_infos if job.job_id), None)


class HistoryEntry(Lenient):
    """One submit of a task, failed and in-flight ones too.

    ``status``: 0 starting, 1 running, 2 accepted, 3 failed, 4 cancelled.
    """

    id: int
    dinky_task_id: int | None = Field(default=None, alias="taskId")
    job_id: Text = None
    job_name: Text = None
    job_manager_address: Text = None
    status: Annotated[int | None, BeforeValidator(_none_if_no_number)] = None
    error: Text = Field(default=None, repr=False)
    statement: Text = Field(default=None, repr=False)
    config_json: Annotated[JobConfig | None, BeforeValidator(_json_in_a_text)] = Field(
        default=None, repr=False
    )
    type: Text = None
    start_time: Text = None
    end_time: Text = None

    @property
    def variables(self) -> dict[str, Any]:
        """The variables the submit carried, without our mark."""
        return {k: v for k, v in self._all_variables.items() if k != RUN_KEY_VARIABLE}

    @property
    def run_key(self) -> str | None:
        """The Airflow run that submitted it, or None."""
        key = self._all_variables.get(RUN_KEY_VARIABLE)
        return key if isinstance(key, str) else None

    @property
    def settings(self) -> JobConfig | None:
        """The settings the job was submitted with; None where Dinky's text of them cannot be read."""
        return self.config_json if isinstance(self.config_json, JobConfig) else None

    @property
    def savepoint_path(self) -> str | None:
        """The savepoint the job was started from, or None."""
        return _path_in(self.settings)

    @property
    def _all_variables(self) -> dict[str, Any]:
        given = self.settings.variables if self.settings else None
        return given if isinstance(given, dict) else {}


class JobData(Lenient):
    """What Flink told Dinky of a job."""

    job: dict[str, Any] | None = Field(default=None, repr=False)
    exceptions: dict[str, Any] | None = Field(default=None, repr=False)
    checkpoints: dict[str, Any] | None = Field(default=None, repr=False)
    checkpoints_config: dict[str, Any] | None = Field(default=None, repr=False)
    config: dict[str, Any] | None = Field(default=None, repr=False)
    error: Any = None
    error_msg: Text = Field(default=None, repr=False)


class JobInfoDetail(DinkyModel):
    """A job instance with the submit it came from and what Flink says of it."""

    id: int | None = None
    instance: JobInstance
    cluster_instance: Any = Field(default=None, repr=False)
    history: HistoryEntry | None = None
    job_data: JobData | None = Field(
        default=None,
        validation_alias=AliasChoices("jobDataDto", "job_data"),
        serialization_alias="jobDataDto",
    )

    @property
    def job_manager_address(self) -> str | None:
        """``host:port`` where Dinky looks for the job, else where it was submitted to; None where neither is known."""
        cluster = self.cluster_instance
        current = cluster.get("jobManagerHost") if isinstance(cluster, dict) else None
        submitted = self.history.job_manager_address if self.history else None
        return next((text for text in (current, submitted) if isinstance(text, str) and text), None)

    @property
    def cluster_type(self) -> str | None:
        """Type of the cluster that the job was sent to ("standalone", "kubernetes-application"); None if not known."""
        cluster = self.cluster_instance
        current = cluster.get("type") if isinstance(cluster, dict) else None
        submitted = self.history.type if self.history else None
        return next((text for text in (submitted, current) if isinstance(text, str) and text), None)

    @property
    def failure_trace(self) -> str | None:
        """Flink's root exception, else the error Dinky noted; None where neither is known."""
        data = self.job_data
        trace = failure_trace(data.exceptions) if data and isinstance(data.exceptions, dict) else None
        return trace or (data.error_msg if data else None) or self.instance.error


class DinkyTask(Lenient):
    """A task as Dinky's editor knows it. ``job_instance_id`` is its newest run."""

    id: int
    name: Text = None
    dialect: Text = None
    type: Text = None
    statement: Text = Field(default=None, repr=False)
    fragment: bool | None = None
    job_instance_id: int | None = None
    status: Text = None
    save_point_path: Text = None
    parallelism: int | None = None
    statement_set: bool | None = None
    batch_model: bool | None = None
    cluster_id: int | None = None
    cluster_name: Text = None
    step: int | None = None


class ExplainedStatement(Lenient):
    """What Dinky's check says of one statement; ``error`` is None where it is fine."""

    index: int | None = None
    type: Text = None
    sql: Text = Field(default=None, repr=False)
    explain: Text = Field(default=None, repr=False)
    error: Text = Field(default=None, repr=False)
    parse_true: bool | None = None
    explain_true: bool | None = None
    explain_time: Text = None

    @property
    def reason(self) -> str | None:
        """The root cause of ``error``, secrets masked."""
        cause = root_cause(self.error)
        return mask_secrets(cause) if cause else None


class Lineage(Lenient):
    """Tables a task reads and writes, and how they hang together."""

    tables: tuple[dict[str, Any], ...] = ()
    relations: tuple[dict[str, Any], ...] = ()


def failure_trace(exceptions: dict[str, Any]) -> str | None:
    """The trace in an answer of Flink's ``/jobs/:jobid/exceptions``, of any Flink version; None if there is none."""
    root = exceptions.get("root-exception")
    if isinstance(root, str) and root.strip():
        return root
    history = exceptions.get("exceptionHistory")
    entries = history.get("entries") if isinstance(history, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("stacktrace"), str):
            return str(entry["stacktrace"])
    return None
