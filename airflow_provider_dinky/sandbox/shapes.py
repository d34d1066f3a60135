# SPDX-License-Identifier: Apache-2.0
"""Dinky's data as the JSON objects that a Dinky 1.1.0 answers with, key for key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .catalogue import Record
from .dinky import SavepointResult, SubmitResult
from .envelope import iso_text, time_text
from .sessions import TENANT
from .store import History, JobInstance, Savepoint
from .tasks import TaskSpec
from .versions import DinkyVersion

_CREATED = "2022-12-13 05:27:19"


def job_result(result: SubmitResult, address: str, version: DinkyVersion) -> dict[str, Any]:
    """Return the ``data`` of a submit or restart."""
    history, instance = result.history, result.instance
    plain = history is None or instance is None
    return {
        "id": None if history is None else history.id,
        "jobConfig": None if history is None else {**job_config(history, address, version), "jarFiles": []},
        "jobManagerAddress": None if plain else address,
        "status": None if plain else "SUCCESS",
        "success": result.success,
        "statement": result.task.sql if plain else "\n" + result.task.sql,
        "jobId": None if instance is None else instance.jid,
        "jobInstanceId": None if instance is None else instance.id,
        "error": result.error,
        "result": _rows(result) if plain else None,
        "results": None,
        "startTime": iso_text(result.started),
        "endTime": iso_text(result.ended),
    }


def _rows(result: SubmitResult) -> dict[str, Any]:
    rows = result.task.rows
    columns = list(rows[0]) if rows else []
    is_update = columns == ["status"]
    return {
        "success": result.success,
        "startTime": iso_text(result.started) if is_update else None,
        "endTime": iso_text(result.ended),
        "time": round((result.ended - result.started) * 1000),
        "error": result.error,
        "columns": columns if result.success else None,
        "rowData": [dict(row) for row in rows] if result.success else [],
        "total": len(rows) if is_update else None,
        "page": None,
        "limit": None,
        "jobId": None,
    }


def job_config(history: History, address: str, version: DinkyVersion) -> dict[str, Any]:
    """Return the configuration a job was submitted with."""
    path = history.savepoint_path
    settings = {"execution.savepoint.path": path} if path else {}
    if version.archives_jobs:
        settings["jobmanager.archive.fs.dir"] = "rs:/tmp/flink-job-archive"
    return _job_config(history.task, history.variables, path, address, settings, history.step)


def _job_config(
    task: TaskSpec,
    variables: Mapping[str, str],
    savepoint_path: str | None,
    address: str | None,
    settings: Mapping[str, str],
    step: int = 1,
    statement_set: bool = True,
) -> dict[str, Any]:
    job_manager = urlsplit(f"//{address or ''}")
    executor = {
        "type": task.type,
        "host": job_manager.hostname,
        "port": job_manager.port,
        "useBatchModel": False,
        "checkpoint": None,
        "parallelism": 1,
        "useSqlFragment": task.fragment,
        "useStatementSet": statement_set,
        "savePointPath": savepoint_path,
        "jobName": task.name,
        "config": dict(settings),
        "variables": dict(variables),
        "jarFiles": None,
        "jobManagerAddress": address or "null:null",
        "remote": True,
        "plan": False,
        "validPort": bool(address),
        "validParallelism": True,
        "validJobName": True,
        "validHost": bool(address),
        "validConfig": bool(settings),
        "validVariables": bool(variables),
        "validJarFiles": False,
    }
    return {
        "type": task.type,
        "checkpoint": None,
        "savePointStrategy": "CUSTOM" if savepoint_path else "NONE",
        "savePointPath": savepoint_path,
        "parallelism": 1,
        "clusterId": 1,
        "clusterConfigurationId": None,
        "step": step,
        "configJson": dict(settings),
        "udfRefer": {},
        "useResult": False,
        "useChangeLog": False,
        "useAutoCancel": True,
        "useRemote": True,
        "address": address,
        "taskId": task.id,
        "jarFiles": None,
        "pyFiles": None,
        "jobName": task.name,
        "fragment": task.fragment,
        "statementSet": statement_set,
        "batchModel": False,
        "maxRowNum": 100,
        "gatewayConfig": None,
        "variables": dict(variables),
        "executorSetting": executor,
    }


def instance(row: JobInstance, *, just_refreshed: bool = False) -> dict[str, Any]:
    """Return one job instance.

    While the job runs its ``finishTime`` is 1970, and 1969 in the answer to a forced refresh, which has not
    been through the database's rounding.
    """
    finished = row.finished
    if finished is not None and not just_refreshed:
        finished = round(finished)
    return {
        "id": row.id,
        "tenantId": TENANT,
        "name": row.task.name,
        "taskId": row.task.id,
        "step": row.step,
        "clusterId": 1,
        "jid": row.jid,
        "status": row.status,
        "historyId": row.history_id,
        "error": row.error,
        "createTime": time_text(row.created),
        "updateTime": time_text(row.updated),
        "finishTime": None if finished is None else time_text(finished),
        "duration": row.duration,
        "failedRestartCount": None,
        "creator": row.user,
        "updater": row.user,
        "operator": row.user,
        "count": None,
    }


def listed_instance(row: JobInstance) -> dict[str, Any]:
    """Return one job instance as a line of the list."""
    whole = instance(row)
    kept = "id name taskId step jid status createTime updateTime finishTime duration failedRestartCount"
    line = {key: whole[key] for key in kept.split()}
    return {**line, "type": row.task.type, "firstLevelOwner": 1, "secondLevelOwners": []}


def history(
    row: History, address: str, version: DinkyVersion, *, cluster_name: str | None = "local"
) -> dict[str, Any]:
    """Return one row of the submit history."""
    return {
        "id": row.id,
        "tenantId": TENANT,
        "clusterId": 1,
        "clusterConfigurationId": None,
        "session": None,
        "jobId": row.jid,
        "jobName": row.task.name,
        "jobManagerAddress": address,
        "batchModel": False,
        "status": row.status,
        "statement": "\n" + row.task.sql,
        "type": row.task.type,
        "error": row.error,
        "result": None,
        "configJson": job_config(row, address, version),
        "startTime": time_text(row.started),
        "endTime": time_text(row.ended),
        "taskId": row.task.id,
        "statusText": None,
        "clusterName": cluster_name,
        "count": None,
    }


def task_config(task: TaskSpec, record: Record) -> dict[str, Any]:
    """Return the configuration a task would be submitted with."""
    settings = record.settings
    config = _job_config(task, {}, None, None, {}, record.step, settings["statementSet"])
    remote = task.type != "local"
    executor = {**config["executorSetting"], "remote": remote}
    return {**config, "clusterId": settings["clusterId"], "useRemote": remote, "executorSetting": executor}


def savepoint_result(result: SavepointResult) -> dict[str, Any]:
    """Return the ``data`` of a savepoint; ``success`` is false although it worked, as on a real server."""
    status = {"trigger": "RUN", "stop": "STOP", "cancel": "CANCEL"}[result.kind]
    return {
        "type": "YARN_PER_JOB",
        "startTime": iso_text(result.started),
        "endTime": None,
        "exceptionMsg": None,
        "appId": None,
        "jobInfos": [{"jobId": result.jid, "savePoint": result.path, "status": status}],
        "id": None,
        "webURL": None,
        "jids": None,
        "success": False,
        "error": None,
    }


def savepoint(row: Savepoint) -> dict[str, Any]:
    """Return one savepoint that was taken."""
    return {
        "id": row.id,
        "tenantId": TENANT,
        "taskId": row.task_id,
        "name": row.kind,
        "type": row.kind,
        "path": row.path,
        "createTime": time_text(row.created),
        "creator": 1,
    }


def cluster(address: str, *, with_owner: bool = True) -> dict[str, Any]:
    """Return the cluster that all jobs run on."""
    return {
        "id": 1,
        "name": "local",
        "enabled": True,
        "createTime": _CREATED.replace(" ", "T"),
        "updateTime": _CREATED.replace(" ", "T"),
        **({"creator": 1, "updater": 1} if with_owner else {}),
        "tenantId": TENANT,
        "alias": "local",
        "type": "standalone",
        "hosts": address,
        "jobManagerHost": address,
        "version": "1.18.1",
        "status": 1,
        "note": None,
        "autoRegisters": False,
        "clusterConfigurationId": None,
        "taskId": None,
    }


def status_counts(instances: Iterable[JobInstance], *, overview: bool) -> dict[str, Any]:
    """Return how many instances are in which state."""
    names = (
        "initializing running finished failed canceled restarting created failing cancelling suspended "
        "reconciling unknown"
    )
    counts = dict.fromkeys(names.split(), 0)
    total = 0
    for row in instances:
        total += 1
        if row.status.lower() in counts:
            counts[row.status.lower()] += 1
    kinds = {"batchJobCount": 0, "streamingJobCount": total} if overview else None
    return {"all": total, **counts, "modelOverview": kinds}
