# SPDX-License-Identifier: Apache-2.0
r"""Pure rules, no I/O: what a job's status means for somebody who waits for it, and what a try does about the jobs
that an earlier one may have started.

================================================  =========  ============  ==========
status                                            running    checkpointed  finished
================================================  =========  ============  ==========
INITIALIZING CREATED RECONCILING RECONNECTING
RESTARTING SUSPENDED FAILING CANCELLING, unlisted  wait       wait          wait
RUNNING                                           done       wait *        wait
FINISHED                                          done       done          done
FAILED CANCELED                                   failed     failed        failed
UNKNOWN                                           lost       lost          lost
================================================  =========  ============  ==========

\* until its first checkpoint is complete, which no status tells; RUNNING is also what Flink says before the job's tasks
run, see :mod:`airflow_provider_dinky.jobs.follower`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.intent import Intent, Step


class WaitFor(str, Enum):
    """What to wait for: Dinky has accepted the job, it is up, it has completed a checkpoint, or it is done."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    CHECKPOINTED = "checkpointed"
    FINISHED = "finished"

    def __str__(self) -> str:
        return self.value


class Outcome(Enum):
    """What a status means for what is awaited. LOST: Dinky does not know, the job may well run."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


_UNWELCOME = (JobStatus.FAILED, JobStatus.CANCELED)


def outcome(status: JobStatus, wait_for: WaitFor) -> Outcome:
    """The table above; total over every status, unlisted ones too."""
    if wait_for is WaitFor.SUBMITTED or status == JobStatus.FINISHED:
        return Outcome.DONE
    if status in _UNWELCOME:
        return Outcome.FAILED
    if status == JobStatus.UNKNOWN:
        return Outcome.LOST
    if status == JobStatus.RUNNING and wait_for is WaitFor.RUNNING:
        return Outcome.DONE
    return Outcome.WAIT


GRACE = 30.0
"""Seconds a retry that knows nothing of the try before waits for that one's mark to show up in Dinky's history."""


@dataclass(frozen=True)
class Seen:
    """A job instance as Dinky shows it."""

    job_instance_id: int
    status: JobStatus

    @property
    def has_failed(self) -> bool:
        """Whether a retry has to start anew: it failed, or somebody cancelled it."""
        return self.status in (JobStatus.FAILED, JobStatus.CANCELED)


class Fate(Enum):
    """What became of a submit, by Dinky's history."""

    IN_FLIGHT = "in flight"
    ACCEPTED = "accepted"
    FAILED = "failed"
    GAVE_UP = "gave up"
    """Dinky calls it failed because it did not wait any longer: on Kubernetes and YARN the job may come up later."""


_HAS_JOB = (Fate.ACCEPTED, Fate.GAVE_UP)


@dataclass(frozen=True)
class PastSubmit:
    """A submit with our mark in Dinky's history.

    :param history_id: Dinky's id of it; later submits have greater ones.
    :param job: None while Dinky has made no instance of it.
    """

    history_id: int
    fate: Fate
    job: Seen | None = None


@dataclass(frozen=True)
class Follow:
    """It is ours, proved: follow it."""

    job_instance_id: int


@dataclass(frozen=True)
class Adopt:
    """It is most likely ours: follow it, and say that this is inferred."""

    job_instance_id: int


@dataclass(frozen=True)
class Wait:
    """A submit of ours may be under way until then (seconds since 1970): look again."""

    until: float


@dataclass(frozen=True)
class Submit:
    """Nothing of ours runs or is under way: start a job."""


@dataclass(frozen=True)
class Fail:
    """Nobody can tell; a person has to look."""

    why: str


Decision = Follow | Adopt | Wait | Submit | Fail


def submit_of(stored: Intent | None, history: Sequence[PastSubmit] | None) -> PastSubmit | None:
    """The submit that was written down, in Dinky's history; None if only older ones of the same run are there.

    All tries of a run send the same mark, so the newest row may be that of an earlier try.

    :param stored: what was written down last; None takes the newest.
    :param history: the submits with our mark, newest first.
    """
    if not history or stored is None:
        return history[0] if history else None
    newest = history[0]
    if newest.job is not None and newest.job.job_instance_id <= stored.baseline:
        return None
    if stored.history_baseline is not None:
        return newest if newest.history_id > stored.history_baseline else None
    # Nobody wrote down what the history held before, so one that was refused may be that of an earlier try.
    return None if newest.fate is Fate.FAILED else newest


def resume(
    stored: Intent | None,
    history: Sequence[PastSubmit] | None,
    newest: Seen | None,
    now: float,
    *,
    known: Seen | None = None,
    began: float = 0.0,
    patience: float = 300.0,
    is_retry: bool = False,
    same_try: bool = False,
    is_complete: bool = True,
    guess: bool = True,
) -> Decision:
    """What a try does about a job that it, or an earlier try of the same run, may have started. Total.

    :param stored: what was written down last; None for nothing, or where nothing can be kept.
    :param history: the submits with our mark, newest first; None where Dinky does not show its history.
    :param newest: the task's newest job instance; None for none.
    :param now: seconds since 1970.
    :param known: the job of ``stored``, as it is now.
    :param began: when this try began to look, in seconds since 1970.
    :param patience: seconds a submit may take.
    :param is_retry: an earlier try of the same run may have sent a submit, of which nothing could be kept.
    :param same_try: the submit is this try's own, so a job that failed is its result and not to be started anew.
    :param is_complete: the history was read as far back as a submit of this run can be.
    :param guess: whether a retry that knows nothing may take the job that runs for its own.
    """

    def anew(job: Seen) -> bool:
        return job.has_failed and not same_try

    if known is not None:
        return Submit() if anew(known) else Follow(known.job_instance_id)
    if stored is not None and stored.step is Step.REFUSED:
        return Submit()
    settled_at = stored.settled_at if stored is not None else began + patience
    submit = submit_of(stored, history)
    if submit is not None and not _is_over(submit, same_try):
        if submit.fate in _HAS_JOB and submit.job is not None:
            return Follow(submit.job.job_instance_id)
        if now < settled_at:
            return Wait(settled_at)
        if submit.fate is Fate.GAVE_UP:
            return Submit()
        return Fail("Dinky's history still says that the submit is on its way")
    if submit is not None and stored is not None:
        return Submit()
    if history is None and newest is not None:
        ours = (
            newest.job_instance_id > stored.baseline
            if stored is not None
            else guess and _looks_ours(newest, is_retry)
        )
        if ours:
            return Submit() if anew(newest) else Adopt(newest.job_instance_id)
    if stored is not None and now < settled_at:
        return Wait(settled_at)
    # Without a note nobody knows how far back to look: what is not among the newest was hardly sent a retry ago.
    if submit is None and not is_complete and stored is not None:
        return Fail("Dinky's history of the task is too long to be searched for a submit of an earlier try")
    if stored is None and is_retry and history is not None and now < began + GRACE:
        # What the history shows may be an older try's; the row of the one just before may not be there yet.
        return Wait(began + GRACE)
    return Submit()


def _is_over(submit: PastSubmit, same_try: bool) -> bool:
    """Whether nothing can come of a submit any more: it was refused, or its job failed in an earlier try."""
    if submit.fate in _HAS_JOB and submit.job is not None:
        return submit.job.has_failed and not same_try
    return submit.fate is Fate.FAILED


def _looks_ours(newest: Seen, is_retry: bool) -> bool:
    # Without a note and without a mark all that is left: a retry that finds its task running most likely finds
    # the job of the try before.
    return is_retry and newest.status.is_active
