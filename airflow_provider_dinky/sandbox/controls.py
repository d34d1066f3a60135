# SPDX-License-Identifier: Apache-2.0
"""Everything a test can do to a sandbox from outside; seconds are those of the sandbox's clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import failures
from .dinky import SubmitTrouble
from .engine import Breakable
from .faults import Fault, FaultKind
from .java import Throwable
from .simulated import SimulatedEngine

if TYPE_CHECKING:
    from .core import SandboxCore

T = TypeVar("T")


class Controls(ABC):
    """The switches of a sandbox.

    Subclasses say which sandbox (``_core``) and how to reach it from the caller's thread (``_run``).
    """

    @property
    @abstractmethod
    def _core(self) -> SandboxCore: ...

    def _run(self, action: Callable[[], T]) -> T:
        return action()

    # The network and the server.

    def fault(self, kind: FaultKind, path: str = "", **details: Any) -> Fault:
        """Set a fault for requests to ``path``; ``details`` are those of :class:`~.faults.Fault`."""
        fault = Fault(kind, path, **details)
        self._run(lambda: self._core.faults.add(fault))
        return fault

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._run(self._core.faults.clear)

    def ask_for_token(self, on: bool = True) -> None:
        """Let ``/openapi`` answer HTTP 401, code 7, without a valid token, as behind some gateways."""
        self._run(lambda: setattr(self._core.api, "openapi_asks_for_token", on))

    def ask_for_header(self, name: str | None, value: str = "") -> None:
        """Put a gateway before Dinky that answers HTTP 401 with a page of its own unless every request has
        the header ``name`` with ``value``; with None it is gone."""
        gateway = None if name is None else (name.lower(), value)
        self._run(lambda: setattr(self._core, "gateway", gateway))

    def change_sql(self, dinky_task_id: int, sql: str) -> None:
        """Let a person save other SQL in a task."""

        self._run(lambda: self._core.dinky.catalogue.save(dinky_task_id, {"statement": sql}))

    def fail_submits(self, error: str, count: int = 1) -> None:
        """Let the next submits fail with code 5; ``error`` is like ``java.lang.SomeException: message``. No job
        comes up."""

        def reason(statement: str, _: str) -> Throwable:
            return failures.executing(statement, failures.met_at_run_time(error))

        self._run(lambda: self._core.dinky.troubles.extend([SubmitTrouble(reason)] * count))

    def give_up_on_submits(
        self, job_after: float = 30.0, *, refused: bool = False, known: bool = True, count: int = 1
    ) -> None:
        """Let Dinky give up waiting at the next submits: code 5 with a TimeoutException inside (``refused``: code 1
        with the trace as message), although the job comes up ``job_after`` seconds later.

        Whether Dinky then has a job instance was not seen; without ``known`` it has none.
        """
        trouble = SubmitTrouble(failures.gave_up_waiting, refused, job_after, known)
        self._run(lambda: self._core.dinky.troubles.extend([trouble] * count))

    def other_tenant_busy(self, probability: float) -> None:
        """Let a second tenant use the server: with this probability (0 to 1) an ``/openapi`` call meets a
        thread that has just served it, and ``restartTask``, ``cancel``, ``savepoint`` ... say "Task Not
        Exist". Works only where the quirks are on."""
        self._run(lambda: setattr(self._core.workers, "other_tenant_busy", probability))

    def miss_the_end(self, on: bool = True) -> None:
        """Let Dinky's known bug happen: an ended job stays RUNNING until somebody forces a refresh."""
        self._run(lambda: setattr(self._core.dinky.monitor, "misses_the_end", on))

    def set_status(self, job_instance_id: int, status: str) -> None:
        """Make Dinky say ``status`` (any text) about an instance until somebody forces a refresh."""

        def change() -> None:
            instance = self._core.dinky.instance(job_instance_id)
            instance.status, instance.held = status, True
            instance.updated = self._core.clock.now()

        self._run(change)

    def name_job(self, job_instance_id: int) -> None:
        """Let Dinky's row of a task name this job instance, as one of several submits at the same time may: the last
        that is written. A cancel, a savepoint, a restart mean the job that is named, whichever is the newest."""
        self._run(lambda: self._core.dinky.store.name(self._core.dinky.instance(job_instance_id)))

    # The cluster.

    def kill_cluster(self) -> None:
        """Make Flink unreachable. Dinky says RECONNECTING after its next look and UNKNOWN a minute later."""
        self._run(lambda: self._breakable().kill_cluster())

    def revive_cluster(self, jobs_survive: bool = True) -> None:
        """Make Flink answer again, with or without its jobs."""
        self._run(lambda: self._breakable().revive_cluster(jobs_survive=jobs_survive))

    def restart_cluster(self, high_availability: bool = False, recovery: float = 10.0) -> None:
        """Restart Flink. Without high availability its jobs are gone for good: Flink answers 404, Dinky UNKNOWN.
        With it they are unknown for ``recovery`` seconds, and then start again by themselves."""
        self._run(
            lambda: self._simulated().restart_cluster(high_availability=high_availability, recovery=recovery)
        )

    def free_slots(self, on: bool = True) -> None:
        """With False let no job that is submitted from now on have a slot: it is RUNNING, its tasks CREATED, and
        FAILED after ``timing.slot_timeout``; with True those that wait get theirs."""
        self._run(lambda: self._simulated().free_slots(on))

    def lose_task_manager(self) -> None:
        """Make every job that runs now fail 19 s from now (a real Flink: as soon as it notices)."""
        self._run(lambda: self._breakable().lose_task_manager())

    def kill_job(self, job_id: str, error: str | None = None) -> None:
        """Make one Flink job fail now; ``error`` is like ``java.lang.SomeException: message``.

        A real Flink has no way to let one job fail: there, :meth:`lose_task_manager` makes all of them fail.
        """
        self._run(lambda: self._simulated().kill_job(job_id, error))

    def restart_job(self, job_id: str, error: str | None = None) -> None:
        """Make one Flink job fail and go on: RESTARTING for ``timing.job_start``, then RUNNING again.

        ``error`` as with :meth:`kill_job`. Raises JobNotFound, and ValueError for a job that has ended.
        """
        self._run(lambda: self._simulated().restart_job(job_id, error))

    def finish_job(self, job_id: str) -> None:
        """Make one Flink job finish now."""
        self._run(lambda: self._simulated().finish_job(job_id))

    def fail_cancels(self, count: int = 1) -> None:
        """Let the next forced cancels do nothing: Dinky answers ``true`` and says UNKNOWN until somebody forces a
        refresh, and the job runs on (seen of a Dinky 1.1.0 right after a restart of Flink)."""
        self._run(lambda: setattr(self._core.dinky, "cancels_that_fail", count))

    def slow_stop(self, seconds: float) -> None:
        """Let jobs take so long to stop; beyond 22 s a restart fails with "stop job failed"."""
        self._run(lambda: setattr(self._simulated(), "job_stop", (seconds, seconds)))

    def fail_savepoints(self, on: bool = True) -> None:
        """Let every savepoint fail, or none any more (without this, those of a Dinky 1.2 fail)."""

        def change() -> None:
            self._simulated().savepoints_fail = on
            self._core.dinky.savepoints_fail = on and self._core.dinky.savepoints_fail

        self._run(change)

    def savepoint_directory(self, on: bool = True) -> None:
        """With False let ``state.savepoints.dir`` be not set: Dinky refuses savepoints, stops with one and restarts
        without a path."""
        self._run(lambda: setattr(self._simulated(), "has_savepoint_directory", on))

    def fail_checkpoints(self, on: bool = True) -> None:
        """Let every checkpoint fail from now on; the jobs run on with the ones that they have."""
        self._run(lambda: self._simulated().fail_checkpoints(on))

    def _breakable(self) -> Breakable:
        engine = self._core.engine
        if not isinstance(engine, Breakable):
            raise TypeError(f"{type(engine).__name__} cannot be broken on demand")
        return engine

    def _simulated(self) -> SimulatedEngine:
        engine = self._core.engine
        if not isinstance(engine, SimulatedEngine):
            raise TypeError(f"only the simulated engine does this on demand, not {type(engine).__name__}")
        return engine
