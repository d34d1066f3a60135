# SPDX-License-Identifier: Apache-2.0
"""The sandbox's engine on a real Flink cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from airflow_provider_dinky.sandbox import failures
from airflow_provider_dinky.sandbox.engine import (
    ENDED,
    EngineUnreachable,
    JobNotFound,
    JobRecord,
    JobSnapshot,
    RestAnswer,
    SavepointFailed,
    SavepointType,
    Submission,
    SubmitFailed,
)
from airflow_provider_dinky.sandbox.java import Throwable

from . import statements, traces
from .cluster import FlinkCluster
from .errors import FlinkUnavailable
from .rest import FlinkRefused, FlinkRest
from .submitter import SqlFailed, Submitter

_POLL_SECONDS = 0.05
_JOB_OVER = 409
_LOST = "LOST"
_NO_JOB = Throwable(
    "java.lang.IllegalArgumentException", "The SQL starts no job: there is no INSERT in it (and no SELECT)."
)


class FlinkEngine:
    """Runs a task's SQL as it is, on a cluster that several engines may share.

    :param rest: the cluster's REST API.
    :param submitter: submits to the same cluster.
    :param savepoints: where savepoints go, as Flink knows the place; the cluster's own setting without.
    :param cluster: the cluster, if it may be broken on demand.
    """

    def __init__(
        self,
        rest: FlinkRest,
        submitter: Submitter,
        *,
        savepoints: str | None = None,
        cluster: FlinkCluster | None = None,
    ) -> None:
        self._rest = rest
        self._submitter = submitter
        self._savepoints = savepoints
        self._cluster = cluster
        self._jobs: dict[str, JobRecord] = {}
        self._submits: set[asyncio.Task[str]] = set()

    @property
    def address(self) -> str:
        return self._rest.address

    @property
    def web_page(self) -> str:
        """The address of Flink's own web page."""
        return f"http://{self.address}"

    @property
    def jobs(self) -> tuple[JobRecord, ...]:
        # Taken before Flink is asked: the answer need not know a job that is submitted meanwhile.
        wanted = [jid for jid, record in list(self._jobs.items()) if _may_change(record)]
        try:
            overview = {job["jid"]: job for job in self._rest.ask_blocking("/jobs/overview")["jobs"]}
        except (EngineUnreachable, JobNotFound, FlinkRefused):
            return tuple(self._jobs.values())
        for jid in wanted:
            # Another thread may have seen its end meanwhile.
            if _may_change(self._jobs[jid]):
                self._jobs[jid] = _updated(self._jobs[jid], overview.get(jid))
        return tuple(self._jobs.values())

    async def submit(self, submission: Submission) -> str:
        # Whoever asked may give up meanwhile; the job is started nevertheless, and belongs into the record.
        task = asyncio.get_running_loop().create_task(self._submit(submission))
        self._submits.add(task)
        task.add_done_callback(self._submits.discard)
        return await asyncio.shield(task)

    async def job(self, jid: str) -> JobSnapshot:
        details = await self._rest.ask("GET", f"/jobs/{jid}")
        return JobSnapshot(jid, details["state"], details["start-time"] / 1000, _ended(details))

    async def cancel(self, jid: str) -> None:
        try:
            await self._rest.ask("PATCH", f"/jobs/{jid}?mode=cancel")
        except FlinkRefused as error:
            if error.status != _JOB_OVER:
                raise

    async def savepoint(self, jid: str, kind: SavepointType) -> str:
        if (await self.job(jid)).state in ENDED:
            raise SavepointFailed(failures.JOB_NOT_RUNNING)
        try:
            path = await self._take_savepoint(jid, kind)
        except FlinkRefused as error:
            raise SavepointFailed(_savepoint_failed(error.trace)) from error
        if jid in self._jobs:
            record = self._jobs[jid]
            self._jobs[jid] = dataclasses.replace(record, savepoints=(*record.savepoints, path))
        return path

    async def rest(self, method: str, path: str, query: Mapping[str, str]) -> RestAnswer:
        return await self._rest.send(method, path, query)

    # What a test does to the cluster.

    def kill_cluster(self) -> None:
        """Let the job manager die without a word."""
        self._breakable().kill_job_manager()

    def revive_cluster(self, *, jobs_survive: bool = True) -> None:
        """Start the job manager again, with its jobs (each goes on from its last checkpoint, or from where it
        was started) or with no memory of them; returns before it is up."""
        self._breakable().revive_job_manager(with_jobs=jobs_survive)

    def lose_task_manager(self) -> None:
        """Let the task manager die without a word; a new one takes its place, for new jobs."""
        cluster = self._breakable()
        cluster.kill_task_manager()
        cluster.revive_task_manager()

    def _breakable(self) -> FlinkCluster:
        if self._cluster is None:
            raise TypeError("a Flink cluster that the sandbox has not started is not broken by it")
        return self._cluster

    async def _submit(self, submission: Submission) -> str:
        await self._rest.ask("GET", "/overview")
        task, path = submission.task, submission.savepoint_path
        configuration = {"pipeline.name": task.name, "parallelism.default": "1"}
        if path:
            configuration["execution.savepoint.path"] = path
        try:
            jid = await self._submitter.submit(statements.parse(submission.statement), configuration)
        except SqlFailed as error:
            failed = error.statement or submission.statement
            raise SubmitFailed(failures.executing(failed, error.throwable)) from error
        except FlinkUnavailable as error:
            raise EngineUnreachable(str(error)) from error
        if jid is None:
            raise SubmitFailed(failures.executing(submission.statement, _NO_JOB))
        self._jobs[jid] = JobRecord(
            jid=jid,
            task_id=task.id,
            name=task.name,
            variables=dict(submission.variables),
            resumed_from=path,
            started=time.time(),
            ended=None,
            state="INITIALIZING",
            savepoints=(),
        )
        return jid

    async def _take_savepoint(self, jid: str, kind: SavepointType) -> str:
        # None stands for the cluster's own setting.
        if kind == "stop":
            order: dict[str, Any] = {"targetDirectory": self._savepoints, "drain": False}
            trigger = await self._rest.ask("POST", f"/jobs/{jid}/stop", order)
        else:
            order = {"target-directory": self._savepoints, "cancel-job": kind == "cancel"}
            trigger = await self._rest.ask("POST", f"/jobs/{jid}/savepoints", order)
        while True:
            answer = await self._rest.ask("GET", f"/jobs/{jid}/savepoints/{trigger['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                break
            await asyncio.sleep(_POLL_SECONDS)
        operation = answer["operation"]
        if "failure-cause" in operation:
            raise SavepointFailed(_savepoint_failed(operation["failure-cause"]["stack-trace"]))
        return str(operation["location"])


def _savepoint_failed(trace: str) -> Throwable:
    reason = traces.from_trace(trace)
    return reason.wrapped_in("java.util.concurrent.ExecutionException").wrapped_in(
        "java.lang.RuntimeException"
    )


def _may_change(record: JobRecord) -> bool:
    """Whether Flink may have news of it: a job manager that comes back may bring back what seemed to be lost."""
    return record.active or record.state == _LOST


def _updated(record: JobRecord, seen: Mapping[str, Any] | None) -> JobRecord:
    """Return the record as Flink's overview has it; a job that is not there has gone with its cluster."""
    if seen is None:
        return (
            record if record.state == _LOST else dataclasses.replace(record, state=_LOST, ended=time.time())
        )
    started = seen["start-time"] / 1000
    return dataclasses.replace(record, state=seen["state"], started=started, ended=_ended(seen))


def _ended(seen: Mapping[str, Any]) -> float | None:
    return None if seen["end-time"] < 0 else seen["end-time"] / 1000
