# SPDX-License-Identifier: Apache-2.0
"""What a Dinky server does, without HTTP: its verbs over tasks, job instances, history and savepoints.

Every verb raises :class:`~.java.Refusal` (Dinky says no) or :class:`~.java.JavaFailure` (an exception came
through), and returns plain data otherwise.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, get_args

from . import failures
from .catalogue import Catalogue
from .clock import Clock
from .engine import (
    Engine,
    EngineUnreachable,
    JobNotFound,
    SavepointFailed,
    SavepointRefused,
    SavepointType,
    Submission,
    SubmitFailed,
)
from .java import JavaFailure, Refusal, Throwable
from .monitor import RUNNING_END, Monitor
from .statements import refuse_what_starts_no_job
from .store import ACCEPTED, ADMIN, FAILED, History, JobInstance, Store
from .tasks import TaskSpec, checked_tasks
from .timing import Timing
from .versions import NEWEST_RECORDED, VERSIONS, DinkyVersion

JOB_INSTANCE_NOT_EXIST = "Job Instance Not Exist"
CLUSTER_NOT_AVAILABLE = "集群地址暂不可用"


@dataclass(frozen=True)
class SubmitResult:
    """What became of a submit: a job (``history`` and ``instance``) or, for plain SQL, rows or ``error``."""

    task: TaskSpec
    started: float
    ended: float
    history: History | None = None
    instance: JobInstance | None = None
    error: str | None = None

    @property
    def success(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class SubmitTrouble:
    """What the next submit meets: Dinky fails with ``reason`` (of the statement and the job's name), or refuses
    with its trace. The job comes up ``job_after`` seconds later all the same (None: never), and Dinky comes to
    know it then or not.
    """

    reason: Callable[[str, str], Throwable]
    refused: bool = False
    job_after: float | None = None
    known: bool = True


@dataclass(frozen=True)
class SavepointResult:
    """A savepoint that was taken of the job ``jid``."""

    jid: str
    path: str
    kind: SavepointType
    started: float


class Dinky:
    """One server with its database, its monitor and the cluster it submits to."""

    def __init__(
        self,
        tasks: Iterable[TaskSpec],
        engine: Engine,
        clock: Clock,
        *,
        timing: Timing | None = None,
        chance: random.Random | None = None,
        version: DinkyVersion = VERSIONS[NEWEST_RECORDED],
    ) -> None:
        self.catalogue = Catalogue(checked_tasks(tasks), clock)
        self.tasks = self.catalogue.tasks
        self.engine = engine
        self.clock = clock
        self.version = version
        self.savepoints_fail = version.savepoints_fail
        self.timing = timing or Timing()
        self.store = Store()
        self.monitor = Monitor(engine, clock, self.timing, chance or random.Random())
        self.cancels_that_fail = 0
        self.troubles: list[SubmitTrouble] = []
        self._later: set[asyncio.Task[None]] = set()
        self._warm = False

    def task(self, task_id: int | None) -> TaskSpec:
        """Return a task or refuse."""
        return self.catalogue.task(task_id)

    def instance(self, instance_id: int) -> JobInstance:
        """Return a job instance or refuse."""
        instance = self.store.instances.get(instance_id)
        if instance is None:
            raise Refusal(JOB_INSTANCE_NOT_EXIST)
        return instance

    async def submit(
        self,
        task_id: int | None,
        savepoint_path: str | None = None,
        variables: Mapping[str, str] | None = None,
        *,
        user: int = ADMIN,
    ) -> SubmitResult:
        """Start a task's job, whether or not one runs already: a second one then writes beside the first."""
        task, given = self.task(task_id), variables or {}
        started = self.clock.now()
        if task.is_plain_sql:
            error = failures.from_text(task.error, "java.sql.SQLException") if task.error else None
            return SubmitResult(task, started, self.clock.now(), error=f"{error}\n" if error else None)
        history = self.store.add_history(
            task, given, savepoint_path or None, started, self.catalogue.record(task.id).step
        )
        try:
            await self._compile()
            if self.troubles:
                self._meet(self.troubles.pop(0), history, user)
            jid = await self._start(task, given, savepoint_path or None)
        except (Refusal, JavaFailure) as error:
            history.status, history.error = FAILED, _history_error(error)
            history.ended = self.clock.now()
            raise
        history.status, history.jid, history.ended = ACCEPTED, jid, self.clock.now()
        instance = self.store.add_instance(history, jid, history.ended, user)
        self.monitor.watch(instance)
        return SubmitResult(task, started, history.ended, history, instance)

    async def restart(
        self, task_id: int | None, savepoint_path: str | None = None, *, user: int = ADMIN
    ) -> SubmitResult:
        """Stop the task's job if Dinky thinks that it runs, then submit; the variables are gone.

        Without a path the job is stopped with a savepoint and resumed from it; if that fails, it runs on. A bad
        path is found out only after the old job was stopped.
        """
        task = self.task(task_id)
        named = self.store.named(task.id)
        if named is not None and not named.done:
            if savepoint_path:
                await self._stop(named)
            else:
                savepoint_path = await self._take_savepoint(named, "cancel")
            await self._wait_until_done(named)
        return await self.submit(task.id, savepoint_path, user=user)

    async def cancel(self, task_id: int | None, *, with_savepoint: bool, force: bool) -> None:
        """Stop the job that the task's row names; nothing happens where there is none, or none that runs."""
        named = self.store.named(self.task(task_id).id)
        await self.clock.sleep(self.timing.cancel)
        if named is None or named.status in ("FINISHED", "FAILED", "CANCELED"):
            return
        if self.cancels_that_fail:
            # Dinky has found no way to Flink, and takes that for a stop.
            self.cancels_that_fail -= 1
            named.status, named.finished, named.held = "UNKNOWN", RUNNING_END, True
            return
        try:
            if with_savepoint:
                await self._take_savepoint(named, "cancel")
                return
        except (Refusal, JavaFailure):
            # A savepoint that fails does not keep it running.
            pass
        try:
            await self._stop(named)
        except Refusal:
            if not force:
                raise

    async def savepoint(self, task_id: int | None, kind: str) -> SavepointResult:
        """Take a savepoint of the job that the task's row names; ``stop`` ends it FINISHED, ``cancel`` CANCELED."""
        if kind.lower() not in get_args(SavepointType):
            constant = f"org.dinky.gateway.enums.SavePointType.{kind.upper()}"
            raise JavaFailure(Throwable("java.lang.IllegalArgumentException", f"No enum constant {constant}"))
        named = self.store.named(self.task(task_id).id)
        if named is None:
            raise Refusal(JOB_INSTANCE_NOT_EXIST)
        started = self.clock.now()
        wanted: SavepointType = next(known for known in get_args(SavepointType) if known == kind.lower())
        path = await self._take_savepoint(named, wanted)
        return SavepointResult(named.jid, path, wanted, started)

    async def refresh(self, instance_id: int) -> JobInstance:
        """Look at a job now, also if Dinky had lost sight of it."""
        instance = self.instance(instance_id)
        await self.monitor.look(instance, forced=True)
        return instance

    def statement(self, task: TaskSpec, given: Mapping[str, str]) -> str:
        """Return a task's SQL with the variables filled in, or refuse where one has no value."""
        missing = task.missing_variable(given)
        if missing is not None:
            raise Refusal(_variable_missing(missing))
        return task.statement(given)

    def go_down(self) -> None:
        """Stop everything that goes on inside, as a dying process does."""
        self.monitor.stop()
        for later in self._later:
            later.cancel()

    def come_up(self, *, keep_memory: bool = True) -> None:
        """Start again, with the database or (where it was kept in memory) without."""
        self._warm = False
        self.store.lose_sequence()
        if not keep_memory:
            self.store = Store()
        for instance in self.store.instances.values():
            if not instance.done and not instance.held:
                self.monitor.watch(instance)

    async def _compile(self) -> None:
        await self.clock.sleep(self.timing.submit if self._warm else self.timing.first_submit)
        self._warm = True

    async def _start(self, task: TaskSpec, given: Mapping[str, str], savepoint_path: str | None) -> str:
        statement = self.statement(task, given)
        if task.kind != "rejected":
            refuse_what_starts_no_job(statement)
        try:
            return await self.engine.submit(Submission(task, statement, given, savepoint_path))
        except SubmitFailed as error:
            raise JavaFailure(error.throwable) from error
        except EngineUnreachable as error:
            address = self.engine.address
            raise JavaFailure(failures.cluster_unreachable(statement, task.name, address)) from error

    def _meet(self, trouble: SubmitTrouble, history: History, user: int) -> NoReturn:
        if trouble.job_after is not None:
            later = asyncio.get_running_loop().create_task(self._come_up_later(trouble, history, user))
            self._later.add(later)
            later.add_done_callback(self._later.discard)
        reason = trouble.reason(self.statement(history.task, history.variables), history.task.name)
        raise Refusal(reason.trace()) if trouble.refused else JavaFailure(reason)

    async def _come_up_later(self, trouble: SubmitTrouble, history: History, user: int) -> None:
        await self.clock.sleep(trouble.job_after or 0.0)
        history.jid = await self._start(history.task, history.variables, history.savepoint_path)
        if trouble.known:
            self.monitor.watch(self.store.add_instance(history, history.jid, self.clock.now(), user))

    async def _stop(self, instance: JobInstance) -> None:
        """Ask Flink to stop a job without a savepoint."""
        try:
            await self.engine.cancel(instance.jid)
            self.monitor.look_later(instance)
        except JobNotFound:
            pass
        except EngineUnreachable as error:
            raise Refusal(CLUSTER_NOT_AVAILABLE) from error

    async def _take_savepoint(self, instance: JobInstance, kind: SavepointType) -> str:
        if self.savepoints_fail:
            raise JavaFailure(failures.NO_GATEWAY)
        try:
            path = await self.engine.savepoint(instance.jid, kind)
        except JobNotFound as error:
            raise JavaFailure(failures.JOB_NOT_RUNNING) from error
        except SavepointFailed as error:
            raise JavaFailure(error.throwable) from error
        except SavepointRefused as error:
            raise Refusal(str(error)) from error
        except EngineUnreachable as error:
            raise Refusal(CLUSTER_NOT_AVAILABLE) from error
        self.store.add_savepoint(instance.task.id, kind, path, self.clock.now())
        if kind != "trigger":
            self.monitor.look_later(instance)
        return path

    async def _wait_until_done(self, instance: JobInstance) -> None:
        deadline = self.clock.now() + self.timing.stop_wait
        await self.refresh(instance.id)
        while not instance.done:
            if self.clock.now() >= deadline:
                raise Refusal("stop job failed, please check job status")
            await self.clock.sleep(self.timing.stop_poll)
            await self.refresh(instance.id)


def _history_error(error: Refusal | JavaFailure) -> str:
    if isinstance(error, JavaFailure):
        return (error.throwable.cause or error.throwable).message
    return str(error)


def _variable_missing(name: str) -> str:
    return (
        f'The variable name or jexl key of sql "${{{name}}}" does not exist.\n'
        "Please follow the following methods to resolve the problem:\n"
        "1. global variables are enabled ? \n"
        "2. variable is exists ? it`s defined in sql ? or  global variable is defined ? \n"
        "3. If it is a custom function variable, please check whether the class is loaded correctly"
    )
