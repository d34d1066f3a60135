# SPDX-License-Identifier: Apache-2.0
"""An engine that runs nothing: its jobs are entries whose state follows from the time."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from pathlib import Path

from . import checkpoints, failures, flink_rest
from .clock import Clock
from .engine import (
    EngineUnreachable,
    JobNotFound,
    JobRecord,
    JobSnapshot,
    RestAnswer,
    SavepointFailed,
    SavepointRefused,
    SavepointType,
    Submission,
    SubmitFailed,
)
from .simulated_job import (
    ROUNDING_SECONDS,
    Failover,
    Origin,
    Outages,
    RestartLoop,
    SimulatedJob,
    TakenSavepoint,
)
from .statements import state_fits
from .timing import Timing


class SimulatedEngine:
    """A Flink cluster on a :class:`~.clock.Clock`.

    :param address: the ``host:port`` that Dinky shows as the job manager's.
    :param savepoints: directory in which savepoints become real (empty) files; checkpoints are only named.
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
        self.has_savepoint_directory = True
        self.job_stop = (timing or Timing()).job_stop
        self._timing = timing or Timing()
        self._clock = clock
        self._directory = savepoints
        self._chance = chance or random.Random()
        self._up = True
        self._has_slots = True
        self._outages = Outages()
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
        origin = self._origin(path) if path else None
        if path and origin is None:
            raise SubmitFailed(failures.savepoint_missing(submission.statement, task.name, path))
        jid, now = self._hex(32), self._clock.now()
        job = SimulatedJob(
            jid,
            submission,
            started=now,
            running_from=now + self._timing.job_start,
            tasks_from=math.inf,
            checkpoints=f"file:{self._directory}/checkpoints/{jid}",
            outages=self._outages,
            origin=origin,
        )
        if not self._has_slots:
            job.end(job.running_from + self._timing.slot_timeout, "FAILED", failures.NO_FREE_SLOT)
        else:
            self._give_slots(job, now)
        self._jobs[job.jid] = job
        return job.jid

    def _give_slots(self, job: SimulatedJob, now: float) -> None:
        """Let a job's tasks start, and settle what becomes of it."""
        task, timing = job.submission.task, self._timing
        ready = max(now, job.running_from)
        if job.origin is not None and not state_fits(job.origin.statement, job.submission.statement):
            if task.checkpoint_every is None:
                reason = failures.no_recovery(failures.STATE_DOES_NOT_FIT)
                job.end(ready + timing.restore, "FAILED", reason)
            else:
                # With checkpoints Flink starts a job again and again, a second after each failure.
                job.loop = RestartLoop(failures.STATE_DOES_NOT_FIT, timing.restore, 1.0)
            return
        job.tasks_from = ready + (timing.task_start if job.origin is None else timing.restore)
        if task.kind == "bounded":
            job.end(now + task.runs_for, "FINISHED")
        elif task.kind == "failing":
            job.end(now + task.fails_after, "FAILED", failures.failed_at_run_time(task.error))

    async def job(self, jid: str) -> JobSnapshot:
        job, now = self._find(jid), self._clock.now()
        return JobSnapshot(jid, job.state(now), job.started, job.ended(now))

    async def cancel(self, jid: str) -> None:
        job, now = self._find(jid), self._clock.now()
        if job.ended(now) is None and job.cancelled is None:
            job.cancelled = now
            job.halt(now)
            job.end(now + self._chance.uniform(*self.job_stop), "CANCELED")

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
            job.halt(now)
            job.end(now + self._chance.uniform(*self.job_stop), "FINISHED" if kind == "stop" else "CANCELED")
        return f"file:{path}"

    async def rest(self, method: str, path: str, query: Mapping[str, str]) -> RestAnswer:
        if not self._up:
            raise EngineUnreachable(self.address)
        if method == "PATCH" and query.get("mode", "cancel") == "cancel":
            jid = path.removeprefix("/jobs/")
            if jid in self._jobs:
                await self.cancel(jid)
                return RestAnswer(202, {})
        job = self._jobs.get(path.split("/")[2]) if path.count("/") > 1 else None
        if job is not None and job.submission.task.is_application and job.ended(self._clock.now()):
            raise EngineUnreachable(self.address)
        return flink_rest.answer(path, self._jobs, self._clock.now())

    def recall(self, path: str, moment: float) -> RestAnswer:
        # Where a job went away at that very moment, it was still there just before.
        answer = flink_rest.answer(path, self._jobs, moment)
        return (
            answer if answer.status == 200 else flink_rest.answer(path, self._jobs, moment - ROUNDING_SECONDS)
        )

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

    def restart_cluster(self, *, high_availability: bool, recovery: float) -> None:
        """Restart the job manager: its jobs are gone, or (with high availability) not known for ``recovery``
        seconds and then started again."""
        self.revive_cluster(jobs_survive=high_availability)
        now = self._clock.now()
        back = now + recovery
        for job in self._jobs.values():
            if high_availability and job.ended(now) is None:
                job.away_until = back
                job.survived.append(Failover(now, back + self._timing.job_start, None))

    def free_slots(self, on: bool) -> None:
        """Let there be free slots, or none for jobs that are submitted from now on."""
        self._has_slots, now = on, self._clock.now()
        for job in self._jobs.values() if on else ():
            if job.failure is failures.NO_FREE_SLOT and job.ended(now) is None and job.cancelled is None:
                job.ends = job.failure = None
                self._give_slots(job, now)

    def lose_task_manager(self) -> None:
        """Every job fails once the heartbeat of the lost task manager has timed out."""
        now = self._clock.now()
        for job in self._jobs.values():
            job.halt(now)
            job.end(now + self._timing.task_manager_lost, "FAILED", failures.TASK_MANAGER_LOST)

    def kill_job(self, jid: str, error: str | None = None) -> None:
        """Make one job fail now. Raises :class:`JobNotFound`."""
        self._known(jid).end(self._clock.now(), "FAILED", failures.failed_at_run_time(error))

    def finish_job(self, jid: str) -> None:
        """Make one job finish now. Raises :class:`JobNotFound`."""
        self._known(jid).end(self._clock.now(), "FINISHED")

    def restart_job(self, jid: str, error: str | None = None) -> None:
        """Make one job fail over now: RESTARTING, then it runs again, from its newest checkpoint if it has one.

        Raises :class:`JobNotFound`, and ValueError for a job that has ended or is about to.
        """
        job, now = self._known(jid), self._clock.now()
        state = job.state(now)
        if state not in ("INITIALIZING", "RUNNING", "RESTARTING"):
            raise ValueError(f"job {jid} is {state} and does not start again")
        back = now + self._timing.job_start
        job.survived.append(Failover(now, back, failures.met_at_run_time(error)))

    def fail_checkpoints(self, on: bool = True) -> None:
        """Let every checkpoint fail from now on, or none any more; the jobs run on."""
        self._outages.switch(on, self._clock.now())

    def _known(self, jid: str) -> SimulatedJob:
        if jid not in self._jobs:
            raise JobNotFound(jid)
        return self._jobs[jid]

    def _find(self, jid: str) -> SimulatedJob:
        if not self._up:
            raise EngineUnreachable(self.address)
        job = self._jobs.get(jid)
        if job is None or not job.known(self._clock.now()):
            raise JobNotFound(jid)
        return job

    def _running(self, jid: str) -> SimulatedJob:
        job = self._find(jid)
        now = self._clock.now()
        state = job.state(now)
        if state not in ("RUNNING", "RESTARTING"):
            raise SavepointFailed(failures.JOB_NOT_RUNNING)
        if not self.has_savepoint_directory:
            raise SavepointRefused(failures.NO_SAVEPOINT_DIRECTORY)
        if self.savepoints_fail or set(job.tasks(now)) != {"RUNNING"}:
            raise SavepointFailed(failures.SAVEPOINT_FAILED)
        return job

    def _origin(self, path: str) -> Origin | None:
        """Return what is there to resume from at ``path``: one of the jobs' own, or anything on the disk."""
        wanted, now = _local(path), self._clock.now()
        folder = wanted.parent if wanted.name == "_metadata" else wanted
        for job in self._jobs.values():
            for one in checkpoints.snapshots(job, now):
                if one.path is not None and _local(one.path) == folder:
                    there = wanted.exists() if one.is_savepoint else not one.discarded
                    return Origin(path, one.id, job.submission.statement) if there else None
        return Origin(path, 1) if wanted.exists() else None

    def _record(self, job: SimulatedJob, now: float) -> JobRecord:
        submission = job.submission
        return JobRecord(
            jid=job.jid,
            task_id=submission.task.id,
            name=job.name,
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
