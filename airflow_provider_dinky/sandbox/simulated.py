# SPDX-License-Identifier: Apache-2.0
"""An engine that runs nothing: its jobs are entries whose state follows from the time."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import failures, flink_rest
from .clock import Clock
from .engine import (
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
from .java import Throwable
from .timing import Timing


@dataclass(frozen=True)
class TakenSavepoint:
    """A savepoint of a job: its path and when it was taken (seconds since 1970)."""

    path: str
    taken: float


@dataclass
class SimulatedJob:
    """One job: when it was started, and when and how it ends, as far as that is known yet."""

    jid: str
    submission: Submission
    started: float
    running_from: float
    ends: float | None = None
    end_state: str = "FINISHED"
    failure: Throwable | None = None
    cancelled: float | None = None
    savepoints: list[TakenSavepoint] = field(default_factory=list)

    def state(self, now: float) -> str:
        """Return Flink's name of the job's state at ``now``."""
        if self.ends is not None and now >= self.ends:
            return self.end_state
        if self.cancelled is not None:
            return "CANCELLING"
        return "RUNNING" if now >= self.running_from else "INITIALIZING"

    def ended(self, now: float) -> float | None:
        """Return when the job ended, or None if it has not at ``now``."""
        return self.ends if self.ends is not None and now >= self.ends else None

    def end(self, moment: float, state: str, failure: Throwable | None = None) -> None:
        """Make the job end at ``moment`` unless it ends earlier anyway."""
        if self.ends is None or self.ends > moment:
            self.ends, self.end_state, self.failure = moment, state, failure


class SimulatedEngine:
    """A Flink cluster on a :class:`~.clock.Clock`.

    :param address: the ``host:port`` that Dinky shows as the job manager's.
    :param savepoints: directory in which savepoints become real (empty) files.
    :param chance: where job ids come from; seed it for the same ids every time.
    """

    def __init__(
        self,
        clock: Clock,
        savepoints: Path,
        *,
        address: str = "127.0.0.1:8888",
        timing: Timing | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.address = address
        self.savepoints_fail = False
        self.job_stop = (timing or Timing()).job_stop
        self._timing = timing or Timing()
        self._clock = clock
        self._directory = savepoints
        self._chance = chance or random.Random()
        self._up = True
        self._jobs: dict[str, SimulatedJob] = {}

    @property
    def jobs(self) -> tuple[JobRecord, ...]:
        now = self._clock.now()
        return tuple(self._record(job, now) for job in list(self._jobs.values()))

    async def submit(self, submission: Submission) -> str:
        task = submission.task
        if task.kind == "rejected" or "${" in submission.statement:
            raise SubmitFailed(failures.sql_rejected(submission.statement, task.error))
        if not self._up:
            raise EngineUnreachable(self.address)
        path = submission.savepoint_path
        if path and not _local(path).exists():
            raise SubmitFailed(failures.savepoint_missing(submission.statement, task.name, path))
        now = self._clock.now()
        job = SimulatedJob(self._hex(32), submission, now, now + self._timing.job_start)
        if task.kind == "bounded":
            job.end(now + task.runs_for, "FINISHED")
        elif task.kind == "failing":
            job.end(now + task.fails_after, "FAILED", failures.failed_at_run_time(task.error))
        self._jobs[job.jid] = job
        return job.jid

    async def job(self, jid: str) -> JobSnapshot:
        job, now = self._find(jid), self._clock.now()
        return JobSnapshot(jid, job.state(now), job.started, job.ended(now))

    async def cancel(self, jid: str) -> None:
        job, now = self._find(jid), self._clock.now()
        if job.ended(now) is None and job.cancelled is None:
            job.cancelled = now
            job.end(now + self.job_stop, "CANCELED")

    async def savepoint(self, jid: str, kind: SavepointType) -> str:
        self._running(jid)
        await self._clock.sleep(self._timing.savepoint)
        job = self._running(jid)
        path = self._directory / f"savepoint-{jid[:6]}-{self._hex(12)}"
        path.mkdir(parents=True)
        (path / "_metadata").touch()
        now = self._clock.now()
        job.savepoints.append(TakenSavepoint(f"file:{path}", now))
        if kind != "trigger":
            job.end(now + self.job_stop, "FINISHED" if kind == "stop" else "CANCELED")
        return f"file:{path}"

    async def rest(self, method: str, path: str, query: Mapping[str, str]) -> RestAnswer:
        if not self._up:
            raise EngineUnreachable(self.address)
        if method == "PATCH" and query.get("mode", "cancel") == "cancel":
            jid = path.removeprefix("/jobs/")
            if jid in self._jobs:
                await self.cancel(jid)
                return RestAnswer(202, {})
        return flink_rest.answer(path, self._jobs, self._clock.now())

    # What a test does to the cluster.

    def kill_cluster(self) -> None:
        """Make the cluster unreachable; its jobs go on unless :meth:`revive_cluster` says otherwise."""
        self._up = False

    def revive_cluster(self, *, jobs_survive: bool = True) -> None:
        """Make the cluster answer again; without its jobs, it has never heard of them."""
        self._up = True
        if not jobs_survive:
            for job in self._jobs.values():
                job.end(self._clock.now(), "LOST")

    def lose_task_manager(self) -> None:
        """Every job fails once the heartbeat of the lost task manager has timed out."""
        for job in self._jobs.values():
            job.end(self._clock.now() + self._timing.task_manager_lost, "FAILED", failures.TASK_MANAGER_LOST)

    def kill_job(self, jid: str, error: str | None = None) -> None:
        """Make one job fail now. Raises :class:`JobNotFound`."""
        if jid not in self._jobs:
            raise JobNotFound(jid)
        self._jobs[jid].end(self._clock.now(), "FAILED", failures.failed_at_run_time(error))

    def finish_job(self, jid: str) -> None:
        """Make one job finish now. Raises :class:`JobNotFound`."""
        if jid not in self._jobs:
            raise JobNotFound(jid)
        self._jobs[jid].end(self._clock.now(), "FINISHED")

    def _find(self, jid: str) -> SimulatedJob:
        if not self._up:
            raise EngineUnreachable(self.address)
        job = self._jobs.get(jid)
        if job is None or job.state(self._clock.now()) == "LOST":
            raise JobNotFound(jid)
        return job

    def _running(self, jid: str) -> SimulatedJob:
        job = self._find(jid)
        if job.state(self._clock.now()) != "RUNNING":
            raise SavepointFailed(failures.JOB_NOT_RUNNING)
        if self.savepoints_fail:
            raise SavepointFailed(failures.SAVEPOINT_FAILED)
        return job

    def _record(self, job: SimulatedJob, now: float) -> JobRecord:
        submission = job.submission
        return JobRecord(
            jid=job.jid,
            task_id=submission.task.id,
            name=submission.task.name,
            variables=dict(submission.variables),
            resumed_from=submission.savepoint_path,
            started=job.started,
            ended=job.ended(now),
            state=job.state(now),
            savepoints=tuple(savepoint.path for savepoint in job.savepoints),
        )

    def _hex(self, digits: int) -> str:
        return f"{self._chance.getrandbits(digits * 4):0{digits}x}"


def _local(path: str) -> Path:
    """Return a savepoint's path on this machine, for ``file:/a``, ``file:///a`` and ``/a``."""
    if path.startswith("file:"):
        path = "/" + path[len("file:") :].lstrip("/")
    return Path(path)
