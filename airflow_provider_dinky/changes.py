# SPDX-License-Identifier: Apache-2.0
"""Pure rules, no I/O: which change of a Dinky task is worth an event, so that each is told once.

==========  ==================================================================================================
kind        told when
==========  ==================================================================================================
FAILED      at once; also for a job that has been followed by another one since
CANCELED    after ``settle``, unless a newer job was started by then (a restart) or Airflow has stopped it
FINISHED    the same
UNKNOWN     Dinky has lost sight of the job (UNKNOWN or RECONNECTING) for ``unknown_timeout``
RUNNING     it runs, and was down or lost in one of the senses above after it ran last
DOWN        no active job (none ever, or FAILED, CANCELED, FINISHED) for ``down_after``, unless Airflow has stopped it
==========  ==================================================================================================

At a first look, without a memory, what is down or lost counts as having become so just now; CANCELED, FINISHED and
RUNNING are not told then: nobody knows for how long they have been so, and whether that is as it should be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeGuard

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Seen

SETTLE = 60.0
"""Seconds within which a newer job makes the end of the one before it a restart."""
UNKNOWN_TIMEOUT = 600.0
"""Seconds for which Dinky may have lost sight of a job before that is told."""
NEVER_RAN = "NEVER_RAN"
"""What a task without a job is remembered as."""
DOWN_AFTER = 60.0
"""Seconds without an active job before that is told."""
_MEMORY_VERSION = 1


class EventKind(str, Enum):
    """What can be told of a task: its newest job entered a state, or it has none that is active."""

    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"
    FINISHED = "FINISHED"
    RUNNING = "RUNNING"
    DOWN = "DOWN"

    def __str__(self) -> str:
        return self.value


class _Phase(Enum):
    """States among which a change means nothing here are one phase."""

    RUNNING = "running"
    FAILED = "failed"
    CANCELED = "canceled"
    FINISHED = "finished"
    LOST = "lost"
    ABSENT = "absent"
    ON_THE_WAY = "on the way"


_PHASES = {
    JobStatus.RUNNING: _Phase.RUNNING,
    JobStatus.FAILED: _Phase.FAILED,
    JobStatus.CANCELED: _Phase.CANCELED,
    JobStatus.FINISHED: _Phase.FINISHED,
    JobStatus.UNKNOWN: _Phase.LOST,
    # A forced refresh of a lost job shows it as RECONNECTING for a while: that is no news.
    JobStatus.RECONNECTING: _Phase.LOST,
}
_STOPPED = {_Phase.CANCELED: EventKind.CANCELED, _Phase.FINISHED: EventKind.FINISHED}
_DOWN = (_Phase.ABSENT, _Phase.FAILED, _Phase.CANCELED, _Phase.FINISHED)


@dataclass(frozen=True)
class Memory:
    """What has been seen of a task last, and what was told of that; JSON-able.

    :param job_instance_id: the newest run; None for a task that never ran.
    :param status: its state; None without a run.
    :param since: when it was first seen so, in seconds since 1970.
    :param told: what has been told since then.
    :param broken: whether it was down or lost after it ran last.
    :param was: in which state it was then, or ``NEVER_RAN``; None if that is not known.
    """

    job_instance_id: int | None
    status: JobStatus | None
    since: float
    told: tuple[EventKind, ...] = ()
    broken: bool = False
    was: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return {
            "v": _MEMORY_VERSION,
            "job_instance_id": self.job_instance_id,
            "status": None if self.status is None else str(self.status),
            "since": self.since,
            "told": [str(kind) for kind in self.told],
            "broken": self.broken,
            "was": self.was,
        }

    @classmethod
    def from_json(cls, stored: Any) -> Memory | None:
        """The memory out of :meth:`to_json`; None for what cannot be read, parts of a newer version are left out."""
        if not isinstance(stored, Mapping):
            return None
        instance: Any
        instance, status, since = (stored.get(name) for name in ("job_instance_id", "status", "since"))
        if not _is_number(since) or not (instance is None or (_is_number(instance) and instance > 0)):
            return None
        if (instance is None) != (status is None) or not (status is None or _is_text(status)):
            return None
        told = stored.get("told")
        return cls(
            None if instance is None else int(instance),
            None if status is None else JobStatus(status),
            float(since),
            tuple(EventKind(kind) for kind in told if kind in EventKind.__members__)
            if isinstance(told, list)
            else (),
            stored.get("broken") is True,
            str(was) if _is_text(was := stored.get("was")) else None,
        )

    def before(self, changes: Collection[Change]) -> Memory:
        """The same before these changes were told: what is safe to keep while it is not sure that they arrive."""
        kinds = {change.kind for change in changes}
        return replace(self, told=tuple(kind for kind in self.told if kind not in kinds))

    @property
    def _phase(self) -> _Phase:
        return _phase(self.status)


@dataclass(frozen=True)
class Change:
    """One change to be told.

    :param job_instance_id: the run it is about; None if the task never ran.
    :param status: the run's state.
    :param since: when that state was first seen, in seconds since 1970.
    :param was: of RUNNING: the state that the task's job was in before, or ``NEVER_RAN``; None if that is not known.
    """

    kind: EventKind
    job_instance_id: int | None
    status: JobStatus | None
    since: float
    was: str | None = None

    @property
    def name(self) -> str:
        """Tells it from all other changes of the task, and is the same if the change is found out once more."""
        parts = [str(self.job_instance_id or 0), str(self.kind)]
        # A run ends once, but it can be lost, come back and be down several times.
        if self.kind not in (EventKind.FAILED, EventKind.CANCELED, EventKind.FINISHED):
            parts.append(str(int(self.since)))
        return "/".join(parts)


@dataclass(frozen=True)
class Changes:
    """The rules for one watched task.

    :param states: the kinds that are told.
    :param settle: seconds within which a newer job makes the end of the one before it a restart.
    :param unknown_timeout: seconds for which Dinky may have lost sight of a job before that is told.
    :param down_after: seconds without an active job before that is told.
    """

    states: Collection[EventKind]
    settle: float = SETTLE
    unknown_timeout: float = UNKNOWN_TIMEOUT
    down_after: float = DOWN_AFTER

    def unfinished(self, memory: Memory | None, newest: Seen | None) -> int | None:
        """The run that has to be looked up as ``previous``: it was active, and is not the newest any more."""
        if memory is None or memory.job_instance_id is None or _is_same(memory, newest):
            return None
        return memory.job_instance_id if memory.status is not None and memory.status.is_active else None

    def observe(
        self,
        memory: Memory | None,
        newest: Seen | None,
        now: float,
        *,
        previous: Seen | None = None,
        stopped_by_airflow: int | None = None,
    ) -> tuple[Memory, list[Change]]:
        """Take in a look at the task.

        :param memory: what the look before returned; None for a first one.
        :param newest: the newest run; None for a task that never ran.
        :param now: seconds since 1970.
        :param previous: what became of the run that is remembered, if it is :meth:`unfinished`.
        :param stopped_by_airflow: the run that Airflow itself has stopped.
        :return: what to remember, and what to tell. After the failure of an earlier run the newest one waits for the
            next look.
        """
        if memory is not None and memory.job_instance_id is not None and not _is_same(memory, newest):
            last = previous or Seen(memory.job_instance_id, memory.status or JobStatus.UNKNOWN)
            if last.job_instance_id == memory.job_instance_id and _phase(last.status) is _Phase.FAILED:
                memory = self._look(memory, last, now)
                if EventKind.FAILED in self._due(memory, now, stopped_by_airflow):
                    return self._tell(memory, (EventKind.FAILED,))
        memory = self._look(memory, newest, now)
        return self._tell(memory, self._due(memory, now, stopped_by_airflow))

    def _look(self, memory: Memory | None, seen: Seen | None, now: float) -> Memory:
        instance, status = (seen.job_instance_id, seen.status) if seen else (None, None)
        phase = _phase(status)
        if memory is None:
            told = (_STOPPED[phase],) if phase in _STOPPED else ()
            memory = Memory(instance, status, now, told)
        elif (memory.job_instance_id, memory._phase) == (instance, phase):
            # A clock that was set back must not put everything off.
            memory = replace(memory, status=status, since=min(memory.since, now))
        else:
            broken = memory.broken and memory._phase is not _Phase.RUNNING
            memory = Memory(instance, status, now, broken=broken, was=memory.was if broken else None)
        if not self._breaks(memory, now):
            return memory
        return replace(memory, broken=True, was=NEVER_RAN if status is None else str(status))

    def _breaks(self, memory: Memory, now: float) -> bool:
        lasted, phase = now - memory.since, memory._phase
        if phase in _STOPPED:
            return lasted >= self.settle
        if phase is _Phase.LOST:
            return lasted >= self.unknown_timeout
        return phase in (_Phase.FAILED, _Phase.ABSENT)

    def _due(self, memory: Memory, now: float, stopped_by_airflow: int | None) -> tuple[EventKind, ...]:
        lasted, phase = now - memory.since, memory._phase
        is_wanted_stop = (
            phase in _STOPPED
            and memory.job_instance_id is not None
            and memory.job_instance_id == stopped_by_airflow
        )
        due: list[EventKind] = []
        if phase is _Phase.FAILED:
            due.append(EventKind.FAILED)
        elif phase is _Phase.RUNNING and memory.broken:
            due.append(EventKind.RUNNING)
        elif phase is _Phase.LOST and lasted >= self.unknown_timeout:
            due.append(EventKind.UNKNOWN)
        elif phase in _STOPPED and not is_wanted_stop and lasted >= self.settle:
            due.append(_STOPPED[phase])
        if phase in _DOWN and not is_wanted_stop and lasted >= self.down_after:
            due.append(EventKind.DOWN)
        return tuple(kind for kind in due if kind in self.states and kind not in memory.told)

    def _tell(self, memory: Memory, kinds: tuple[EventKind, ...]) -> tuple[Memory, list[Change]]:
        changes = [
            Change(
                kind,
                memory.job_instance_id,
                memory.status,
                memory.since,
                memory.was if kind is EventKind.RUNNING else None,
            )
            for kind in kinds
        ]
        return replace(memory, told=memory.told + kinds), changes


def _phase(status: JobStatus | None) -> _Phase:
    return _Phase.ABSENT if status is None else _PHASES.get(status, _Phase.ON_THE_WAY)


def _is_same(memory: Memory, newest: Seen | None) -> bool:
    return newest is not None and newest.job_instance_id == memory.job_instance_id


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
