# SPDX-License-Identifier: Apache-2.0
"""What Dinky needs from whatever runs the jobs.

The sandbox's Dinky knows only :class:`Engine`. :mod:`.simulated` runs jobs on a clock, :mod:`.flink` on a real
Flink cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from .java import Throwable
from .tasks import TaskSpec

SavepointType = Literal["trigger", "stop", "cancel"]

ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
"""The states that a Flink job never leaves."""


@dataclass(frozen=True)
class Submission:
    """A job to start: the task, its SQL with the variables filled in, and the savepoint to resume from."""

    task: TaskSpec
    statement: str
    variables: Mapping[str, str] = field(default_factory=dict)
    savepoint_path: str | None = None


class SavepointRefused(Exception):
    """No savepoint was taken since the cluster is not set up for it; Dinky refuses, with this text."""


@dataclass(frozen=True)
class JobSnapshot:
    """A Flink job as it is now; times in seconds since 1970, ``ended`` None while it is active."""

    jid: str
    state: str
    started: float
    ended: float | None


@dataclass(frozen=True)
class JobRecord:
    """One line of the engine's own record of every job it ever started, whatever Dinky knows of it.

    ``state`` is Flink's, or LOST for a job that went away with its cluster. ``resumed_from`` is the
    savepoint it started from.
    """

    jid: str
    task_id: int
    name: str
    variables: Mapping[str, str]
    resumed_from: str | None
    started: float
    ended: float | None
    state: str
    savepoints: tuple[str, ...]

    @property
    def active(self) -> bool:
        """Whether the job is (still) there and may write data."""
        return self.ended is None


@dataclass(frozen=True)
class RestAnswer:
    """An answer of Flink's own REST API."""

    status: int
    body: Any


class EngineUnreachable(Exception):
    """The cluster does not answer."""


class JobNotFound(Exception):
    """The cluster answers but does not know the job."""


class SubmitFailed(Exception):
    """The cluster or its planner refused the job; ``throwable`` says why."""

    def __init__(self, throwable: Throwable) -> None:
        super().__init__(str(throwable))
        self.throwable = throwable


class SavepointFailed(Exception):
    """No savepoint was taken; ``throwable`` says why."""

    def __init__(self, throwable: Throwable) -> None:
        super().__init__(str(throwable))
        self.throwable = throwable


class Engine(Protocol):
    """A Flink cluster. Every call raises :class:`EngineUnreachable` while the cluster is gone."""

    @property
    def address(self) -> str:
        """The job manager's ``host:port``, as Dinky shows it and as the proxy path names it."""

    @property
    def jobs(self) -> Sequence[JobRecord]:
        """Every job ever started, oldest first."""

    async def submit(self, submission: Submission) -> str:
        """Start a job and return its id. Raises :class:`SubmitFailed`."""

    async def job(self, jid: str) -> JobSnapshot:
        """Return how a job is. Raises :class:`JobNotFound`."""

    async def cancel(self, jid: str) -> None:
        """Ask a job to stop without a savepoint; it is CANCELED a little later. Raises JobNotFound."""

    async def savepoint(self, jid: str, kind: SavepointType) -> str:
        """Take a savepoint and return its path; ``stop`` and ``cancel`` end the job with it.

        Raises :class:`JobNotFound`, :class:`SavepointFailed` and :class:`SavepointRefused`.
        """

    async def rest(self, method: str, path: str, query: Mapping[str, str]) -> RestAnswer:
        """Answer a request to Flink's REST API (``path`` starts with ``/jobs``)."""


@runtime_checkable
class Recalling(Protocol):
    """An engine that remembers what it would have answered earlier."""

    def recall(self, path: str, moment: float) -> RestAnswer:
        """Answer a GET request as it would have been answered at ``moment``."""


@runtime_checkable
class Breakable(Protocol):
    """An engine whose cluster a test may break."""

    def kill_cluster(self) -> None:
        """Make the cluster unreachable."""

    def revive_cluster(self, *, jobs_survive: bool = True) -> None:
        """Make it reachable again, with or without its jobs."""

    def lose_task_manager(self) -> None:
        """Take the jobs' slots away; they fail once the cluster has noticed."""
