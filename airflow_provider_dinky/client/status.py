# SPDX-License-Identifier: Apache-2.0
"""The states of a job as Dinky spells them."""

from __future__ import annotations

from enum import Enum


class JobStatus(str, Enum):
    """State of a job instance, spelled as Dinky spells it.

    A state that a newer Dinky adds becomes a member of its own (``is_listed`` is false), so a reader
    never fails on one; it is neither final nor lost, that is: active.
    """

    INITIALIZING = "INITIALIZING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    FAILING = "FAILING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"
    RESTARTING = "RESTARTING"
    SUSPENDED = "SUSPENDED"
    RECONCILING = "RECONCILING"
    RECONNECTING = "RECONNECTING"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> JobStatus | None:
        if value is None:
            return cls.UNKNOWN
        if not isinstance(value, str) or not value.strip():
            return None
        spelled = value.strip().upper()
        for member in cls:
            if member.value == spelled:
                return member
        unlisted = str.__new__(cls, spelled)
        unlisted._name_ = spelled
        unlisted._value_ = spelled
        return unlisted

    def __str__(self) -> str:
        return self.value

    @property
    def is_listed(self) -> bool:
        """Whether this version of the provider knows the state."""
        return self.value in type(self).__members__

    @property
    def is_final(self) -> bool:
        """Whether the Flink job has ended. UNKNOWN is not final: Dinky lost sight of a job that may run."""
        return self in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CANCELED)

    @property
    def is_active(self) -> bool:
        """Whether the job runs, is about to, or may be running for all that Dinky knows."""
        return not self.is_final
