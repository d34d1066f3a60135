# SPDX-License-Identifier: Apache-2.0
"""Every Dinky endpoint this package uses, as data: one function an endpoint.

A call says how to ask and how to read the answer; the two clients send it. ``via_api`` chooses Dinky's
signed-in ``/api`` over the anonymous ``/openapi`` where both exist.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from airflow_provider_dinky.client import rows
from airflow_provider_dinky.client.models import (
    DinkyTask,
    ExplainedStatement,
    HistoryEntry,
    JobInfoDetail,
    JobInstance,
    JobState,
    Lineage,
    Savepoint,
    SavepointResult,
    SubmitResult,
)

T = TypeVar("T")
SavepointType = Literal["trigger", "stop", "cancel"]
Patience = Literal["read", "submit", "savepoint", "flink"]
PAGE_SIZE = 1_000


@dataclass(frozen=True)
class Answer:
    """What an endpoint said, out of its envelope."""

    data: Any
    msg: str = ""


@dataclass(frozen=True)
class Sleep:
    """A step of a procedure that waits instead of asking.

    :param seconds: how long.
    """

    seconds: float


@dataclass(frozen=True)
class ApiCall(Generic[T]):
    """One request to Dinky and how to read its answer.

    :param what: what it does, for errors ("submit of Dinky task 7").
    :param parse: turns the answer into the result; its ``ValueError`` means a wrong shape.
    :param repeatable: whether sending it twice is the same as once; never true of what starts or stops a job.
    :param patience: which of the connection's time-outs applies.
    :param bare: the answer has no envelope (Dinky's pages, Flink's own answers).
    :param tenant_task: a Dinky task to look up first, because Dinky serves this call only from a worker thread
        that has learned its tenant from such a look-up.
    :param starts_job: a refusal by time-out leaves open whether a job comes of it.
    :param base_url: where to ask, if not the connection's Dinky; credentials are never sent there.
    """

    what: str
    method: Literal["GET", "POST", "PATCH"]
    path: str
    parse: Callable[[Answer], T]
    params: Mapping[str, Any] | None = None
    json: Any = None
    repeatable: bool = True
    patience: Patience = "read"
    bare: bool = False
    tenant_task: int | None = None
    starts_job: bool = False
    base_url: str | None = None

    @property
    def needs_sign_in(self) -> bool:
        """Whether only a signed-in user may ask."""
        return self.base_url is None and self.path.startswith("/api/")


Steps = Generator[ApiCall[Any] | Sleep, Any, T]
"""A procedure: it yields calls, whose results it is sent, and pauses, and returns its own result."""


def version() -> ApiCall[str]:
    """Dinky's version, as it names it."""
    return ApiCall("version", "GET", "/openapi/version", lambda answer: rows.as_text(answer.data))


def submit_task(
    dinky_task_id: int, savepoint_path: str | None = None, variables: Mapping[str, Any] | None = None
) -> ApiCall[SubmitResult]:
    """Start a job of a task. A second submit starts a second job, so this is never sent again by itself."""
    return ApiCall(
        f"submit of Dinky task {dinky_task_id}",
        "POST",
        "/openapi/submitTask",
        lambda answer: SubmitResult.model_validate(answer.data),
        json={"id": dinky_task_id, "savePointPath": savepoint_path or "", "variables": dict(variables or {})},
        repeatable=False,
        patience="submit",
        starts_job=True,
    )


def restart_task(
    dinky_task_id: int, savepoint_path: str | None = None, *, via_api: bool = False
) -> ApiCall[SubmitResult]:
    """Dinky's own restart: savepoint, cancel, submit from it; with a path: cancel, submit from that."""
    params: dict[str, Any] = {"id": dinky_task_id}
    if savepoint_path:
        params["savePointPath"] = savepoint_path
    return ApiCall(
        f"restart of Dinky task {dinky_task_id}",
        "GET",
        "/api/task/restartTask" if via_api else "/openapi/restartTask",
        lambda answer: SubmitResult.model_validate(answer.data),
        params=params,
        repeatable=False,
        patience="savepoint",
        tenant_task=None if via_api else dinky_task_id,
        starts_job=True,
    )


def cancel_task(
    dinky_task_id: int, *, with_savepoint: bool = False, force: bool = True, via_api: bool = False
) -> ApiCall[bool]:
    """Cancel the task's newest job. Dinky answers that it worked for a job that has already ended, too."""
    return ApiCall(
        f"cancel of Dinky task {dinky_task_id}",
        "GET",
        "/api/task/cancel" if via_api else "/openapi/cancel",
        lambda answer: answer.data is not False,
        params={
            "id": dinky_task_id,
            "withSavePoint": _java_bool(with_savepoint),
            "forceCancel": _java_bool(force),
        },
        repeatable=False,
        patience="savepoint" if with_savepoint else "read",
        tenant_task=None if via_api else dinky_task_id,
    )


def trigger_savepoint(
    dinky_task_id: int, savepoint_type: SavepointType = "trigger", *, via_api: bool = False
) -> ApiCall[SavepointResult]:
    """Take a savepoint of the task's job; ``stop`` and ``cancel`` also end the job with it."""
    return ApiCall(
        f"savepoint ({savepoint_type}) of Dinky task {dinky_task_id}",
        "GET" if via_api else "POST",
        "/api/task/savepoint" if via_api else "/openapi/savepoint",
        lambda answer: SavepointResult.model_validate(answer.data),
        params={"taskId": dinky_task_id, "savePointType": savepoint_type},
        repeatable=False,
        patience="savepoint",
        tenant_task=None if via_api else dinky_task_id,
    )


def get_job_instance(job_instance_id: int) -> ApiCall[JobInstance]:
    """One run of a task."""
    return ApiCall(
        f"look-up of Dinky job instance {job_instance_id}",
        "GET",
        "/openapi/getJobInstance",
        lambda answer: rows.run(answer.data, job_instance_id),
        params={"id": job_instance_id},
    )


def get_latest_job_instance(dinky_task_id: int) -> ApiCall[JobInstance | None]:
    """The newest run of a task; None for a task that never ran."""
    return ApiCall(
        f"look-up of the newest job instance of Dinky task {dinky_task_id}",
        "GET",
        "/openapi/getJobInstanceByTaskId",
        lambda answer: rows.newest_run(answer.data, dinky_task_id),
        params={"id": dinky_task_id},
    )


def list_job_instances(job_instance_ids: Iterable[int]) -> ApiCall[dict[int, JobState]]:
    """The states of many runs in one request, by id; one that Dinky does not know is missing. At most 1,000."""
    ids = list(job_instance_ids)
    if len(ids) > PAGE_SIZE:
        raise ValueError(f"at most {PAGE_SIZE} job instances a request, got {len(ids)}")
    return ApiCall(
        f"list of {len(ids)} Dinky job instances",
        "POST",
        "/api/jobInstance",
        lambda answer: rows.states(answer.data, ids),
        json={
            "current": 1,
            "pageSize": max(len(ids), 1),
            "sorter": {},
            "filter": {"id": ids},
            "isHistory": True,
        },
        bare=True,
    )


def list_latest_job_instances(limit: int) -> ApiCall[tuple[JobInstance, ...]]:
    """The newest run of each task, newest first."""
    return ApiCall(
        "list of Dinky job instances",
        "POST",
        "/api/jobInstance",
        lambda answer: rows.runs(answer.data),
        json={
            "current": 1,
            "pageSize": limit,
            "sorter": {"id": "descend"},
            "filter": {},
            "isHistory": False,
        },
        bare=True,
    )


def list_job_instances_of_task(
    dinky_task_id: int, limit: int = 50, *, page: int = 1
) -> ApiCall[tuple[JobInstance, ...]]:
    """The newest runs of a task, newest first; those on page 2 are older than those on page 1."""
    return ApiCall(
        f"job instances of Dinky task {dinky_task_id}",
        "POST",
        "/api/jobInstance",
        lambda answer: rows.runs(answer.data, dinky_task_id),
        json={
            "current": page,
            "pageSize": limit,
            "sorter": {"id": "descend"},
            "filter": {},
            "taskId": dinky_task_id,
            "isHistory": True,
        },
        bare=True,
    )


def get_job_info_detail(job_instance_id: int) -> ApiCall[JobInfoDetail]:
    """A run with its submit, Flink's exceptions and checkpoints."""
    return ApiCall(
        f"details of Dinky job instance {job_instance_id}",
        "GET",
        "/api/jobInstance/getJobInfoDetail",
        lambda answer: rows.detail(answer.data, job_instance_id),
        params={"id": job_instance_id},
    )


def refresh_job_info_detail(job_instance_id: int) -> ApiCall[JobInfoDetail]:
    """The same after Dinky has asked Flink once more, which it does not do by itself for UNKNOWN jobs."""
    return ApiCall(
        f"refresh of Dinky job instance {job_instance_id}",
        "GET",
        "/api/jobInstance/refreshJobInfoDetail",
        lambda answer: rows.detail(answer.data, job_instance_id),
        params={"id": job_instance_id, "isForce": "true"},
    )


def list_history(dinky_task_id: int, limit: int = 20, *, page: int = 1) -> ApiCall[tuple[HistoryEntry, ...]]:
    """The newest submits of a task, newest first; failed and in-flight ones too. Page 2 is older than page 1."""
    return ApiCall(
        f"submit history of Dinky task {dinky_task_id}",
        "POST",
        "/api/history/list",
        lambda answer: rows.submits(answer.data, dinky_task_id),
        json={
            "current": page,
            "pageSize": limit,
            "filter": {},
            "sorter": {"id": "descend"},
            "taskId": dinky_task_id,
        },
        bare=True,
    )


def list_savepoints(dinky_task_id: int) -> ApiCall[tuple[Savepoint, ...]]:
    """The savepoints Dinky remembers of a task, newest first."""
    return ApiCall(
        f"savepoints of Dinky task {dinky_task_id}",
        "GET",
        "/api/savepoints/listSavepointsByTaskId",
        lambda answer: rows.savepoints(answer.data, dinky_task_id),
        params={"taskId": dinky_task_id},
    )


def get_task(dinky_task_id: int) -> ApiCall[DinkyTask]:
    """A task: SQL, kind, cluster, newest run."""
    return ApiCall(
        f"look-up of Dinky task {dinky_task_id}",
        "GET",
        "/api/task",
        lambda answer: rows.task(answer.data, dinky_task_id),
        params={"id": dinky_task_id},
    )


def export_sql(dinky_task_id: int) -> ApiCall[str]:
    """The task's SQL as it would be run. Dinky puts the text into the message."""
    return ApiCall(
        f"SQL of Dinky task {dinky_task_id}",
        "GET",
        "/openapi/exportSql",
        lambda answer: answer.data if isinstance(answer.data, str) and answer.data else answer.msg,
        params={"id": dinky_task_id},
        tenant_task=dinky_task_id,
    )


def explain_sql(request: Mapping[str, Any]) -> ApiCall[tuple[ExplainedStatement, ...]]:
    """Dinky's check of SQL, statement by statement. ``request`` is Dinky's task body (id, statement, type ...)."""
    return ApiCall(
        f"check of the SQL of Dinky task {request.get('id')}",
        "POST",
        "/openapi/explainSql",
        lambda answer: tuple(map(ExplainedStatement.model_validate, rows.as_list(answer.data or []))),
        json=dict(request),
    )


def get_job_plan(request: Mapping[str, Any]) -> ApiCall[dict[str, Any]]:
    """Flink's plan of SQL; ``request`` as in :func:`explain_sql`."""
    return ApiCall(
        f"job plan of Dinky task {request.get('id')}",
        "POST",
        "/openapi/getJobPlan",
        lambda answer: rows.as_object(answer.data),
        json=dict(request),
    )


def get_task_lineage(dinky_task_id: int) -> ApiCall[Lineage | None]:
    """Tables a task reads and writes; None where Dinky cannot tell."""
    return ApiCall(
        f"lineage of Dinky task {dinky_task_id}",
        "GET",
        "/openapi/getTaskLineage",
        lambda answer: None if answer.data is None else Lineage.model_validate(answer.data),
        params={"id": dinky_task_id},
    )


def get_job_lineage(job_instance_id: int) -> ApiCall[Lineage | None]:
    """Tables and columns that a run reads and writes, by the SQL that was submitted; None where Dinky cannot tell."""
    return ApiCall(
        f"lineage of Dinky job instance {job_instance_id}",
        "GET",
        "/api/jobInstance/getLineage",
        lambda answer: None if answer.data is None else Lineage.model_validate(answer.data),
        params={"id": job_instance_id},
    )


def get_token_info() -> ApiCall[dict[str, Any]]:
    """Who is signed in; holds the token, never log it."""
    return ApiCall("sign-in check", "GET", "/api/tokenInfo", lambda answer: rows.as_object(answer.data))


def _java_bool(value: bool) -> str:
    return "true" if value else "false"
