# SPDX-License-Identifier: Apache-2.0
"""What a job's status means for somebody who waits for it. Pure rules, no I/O.

================================================  =========  ==========
status                                            running    finished
================================================  =========  ==========
INITIALIZING CREATED RECONCILING RECONNECTING
RESTARTING SUSPENDED FAILING CANCELLING, unlisted  wait       wait
RUNNING                                           done       wait
FINISHED                                          done       done
FAILED CANCELED                                   failed     failed
UNKNOWN                                           lost       lost
================================================  =========  ==========
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from airflow_provider_dinky.client.status import JobStatus

REFRESH_LOST_EVERY = 30.0
"""Seconds between forced refreshes of a job that Dinky lost sight of."""
REFRESH_QUIET_EVERY = 600.0
"""Seconds without a change after which a RUNNING job that should finish is looked at anew: Dinky is known to
leave RUNNING behind after a job has ended."""


class WaitFor(str, Enum):
    """What to wait for: Dinky has accepted the job, the job is up, or it is done."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    FINISHED = "finished"

    def __str__(self) -> str:
        return self.value


class Outcome(Enum):
    """What a status means for what is awaited. LOST: Dinky does not know, the job may well run."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


def outcome(status: JobStatus, wait_for: WaitFor) -> Outcome:
    """The table above; total over every status, unlisted ones too."""
    if wait_for is WaitFor.SUBMITTED or status == JobStatus.FINISHED:
        return Outcome.DONE
    if status in (JobStatus.FAILED, JobStatus.CANCELED):
        return Outcome.FAILED
    if status == JobStatus.UNKNOWN:
        return Outcome.LOST
    if status == JobStatus.RUNNING and wait_for is WaitFor.RUNNING:
        return Outcome.DONE
    return Outcome.WAIT


@dataclass(frozen=True)
class Verdict:
    """What one look at the job means.

    :param outcome: FAILED also for a job that has been lost for too long.
    :param changed: the status is another one than at the look before.
    :param refresh: Dinky should be made to ask Flink anew, where it can be.
    """

    outcome: Outcome
    changed: bool
    refresh: bool


@dataclass
class Watch:
    """Remembers of one job what a single look cannot tell: since when, and when it was last looked at anew.

    :param wait_for: what is awaited.
    :param unknown_timeout: seconds a job may be UNKNOWN before that counts as a failure.
    """

    wait_for: WaitFor
    unknown_timeout: float
    status: JobStatus | None = None
    since: float = 0.0
    verdict: Outcome = Outcome.WAIT
    _refreshed: float = field(default=float("-inf"), repr=False)

    def observe(self, status: JobStatus, now: float) -> Verdict:
        """Take in a look at the job.

        :param status: what Dinky says.
        :param now: seconds on any clock that does not go back.
        """
        changed = status != self.status
        if changed:
            self.status, self.since = status, now
            self._refreshed = float("-inf") if _is_doubtful(status) else now
        result = outcome(status, self.wait_for)
        if result is Outcome.LOST and now - self.since >= self.unknown_timeout:
            result = Outcome.FAILED
        self.verdict = result
        return Verdict(result, changed, self._refresh_due(result, status, now))

    def _refresh_due(self, result: Outcome, status: JobStatus, now: float) -> bool:
        if result in (Outcome.DONE, Outcome.FAILED):
            return False
        if _is_doubtful(status):
            every = REFRESH_LOST_EVERY
        elif status == JobStatus.RUNNING and self.wait_for is WaitFor.FINISHED:
            every = REFRESH_QUIET_EVERY
        else:
            return False
        if now - self._refreshed < every:
            return False
        self._refreshed = now
        return True


def _is_doubtful(status: JobStatus) -> bool:
    return status in (JobStatus.UNKNOWN, JobStatus.RECONNECTING)
