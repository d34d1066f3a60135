# SPDX-License-Identifier: Apache-2.0
"""Follows one job: what each look at it, each answer that did not come and the time mean. Pure, no I/O.

Operators, sensors in every mode and triggers feed the same :class:`Follower` and do what its ``next`` says.

*Outage*: an answer that says nothing about the job (``jobs/outage.py``) is waited out up to ``max_outage``.

*Refresh*: Dinky is made to ask Flink again about a job that is UNKNOWN or RECONNECTING every 30 s, and about one that
is RUNNING while its end is awaited every 600 s. In application and per-job mode the cluster ends with the job, and a
refresh after the end would turn a right FINISHED or RUNNING into UNKNOWN: there only UNKNOWN is refreshed.

*UNKNOWN* fails after ``unknown_timeout``, but not before a forced refresh was answered where one is possible; and at
once if Flink has said twice, 15 s apart, that it does not know the job.

*Running* means that every task (vertex) of the job runs or has finished, where that is visible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Outcome, WaitFor, outcome
from airflow_provider_dinky.jobs.facts import JobFacts
from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER, is_application
from airflow_provider_dinky.jobs.next_step import ENDED, Next
from airflow_provider_dinky.jobs.outage import is_about_the_job, is_exception_in_dinky, too_long
from airflow_provider_dinky.jobs.wait_log import (
    WaitLog,
    checkpoint_line,
    not_there_line,
    state_line,
    tasks_line,
    unchanged_line,
)

MAX_OUTAGE = 1_800.0
"""Seconds without any answer after which whoever waits for a job fails; the job itself goes on."""
REFRESH_LOST_EVERY = 30.0
"""Seconds between forced refreshes of a job that Dinky cannot see."""
REFRESH_QUIET_EVERY = 600.0
"""Seconds without a change after which a RUNNING job that should finish is refreshed: Dinky is known to leave RUNNING
behind after a job has ended."""
MAX_RESTARTS = 3
"""Restarts before all tasks have run once that make a failure of a job that is awaited to run."""
LOOKS_FOR_TASKS = 3
"""Looks in a row that did not show the job's tasks, after which RUNNING is believed without them."""

_DOUBTFUL = (JobStatus.UNKNOWN, JobStatus.RECONNECTING)
_UP = (WaitFor.RUNNING, WaitFor.CHECKPOINTED)
NEVER = float("-inf")

P = ParamSpec("P")


def _unless_ended(
    take_in: Callable[Concatenate[Follower, P], None],
) -> Callable[Concatenate[Follower, P], None]:
    """An end is final: what was under way when it was seen, such as a look that fails, changes nothing."""

    def guarded(self: Follower, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if not self.has_ended:
            take_in(self, *args, **kwargs)

    guarded.__doc__ = take_in.__doc__
    return guarded


class Follower:
    """The state of one job that is waited for.

    Times are seconds on any clock that does not go back, the same one in every call; for what is kept over processes
    (:meth:`to_json`) that is ``time.time``.

    :param wait_for: what is awaited.
    :param now: when waiting begins.
    :param unknown_timeout: seconds a job may be UNKNOWN before that counts as a failure.
    :param max_outage: seconds without any answer after which the job counts as unreadable.
    :param sees_flink: whether Dinky can be made to look again, or Flink be asked, and the job's tasks are visible;
        without that RUNNING is believed as Dinky says it.
    :param answered: Dinky has answered about the job before; true of a job that was just submitted.
    :param says_end: whether the first and the last thing seen are worth a line; not while a task is deferred, whose
        worker says them.
    """

    __slots__ = (
        *("answered_at", "can_refresh", "cluster_type", "error", "has_checkpoint", "is_gone", "is_up", "log"),
        *("max_outage", "next", "problem", "restarts", "sees_tasks", "since", "status", "tasks"),
        *(
            "unknown_timeout",
            "unreadable",
            "wait_for",
            "_answered",
            "_exceptions",
            "_gone_at",
            "_inspected_at",
        ),
        *("_is_missing", "_is_refreshed", "_newest_failure", "_refreshed_at", "_says_end", "_unseen_tasks"),
    )

    def __init__(
        self,
        wait_for: WaitFor,
        now: float,
        *,
        unknown_timeout: float = 600.0,
        max_outage: float = MAX_OUTAGE,
        sees_flink: bool = False,
        answered: bool = False,
        says_end: bool = True,
    ) -> None:
        self.wait_for = wait_for
        self.unknown_timeout = unknown_timeout
        self.max_outage = max_outage
        self.can_refresh = sees_flink
        self.sees_tasks = sees_flink and wait_for in _UP
        self.log = WaitLog(now)
        self.next = Next.LOOK
        self.status: JobStatus | None = None
        self.since = now
        self.error: str | None = None
        """What Dinky noted for the state, not masked."""
        self.unreadable: str | None = None
        """Why the job cannot be followed any more."""
        self.problem: Exception | None = None
        """The error behind that, if it was one."""
        self.restarts = 0
        """How often the job was restarted before all its tasks ran, as far as seen."""
        self.is_up = False
        self.tasks: list[int] | None = None
        """How many of the job's tasks ran, and how many there are, at the last look at them."""
        self.is_gone = False
        """Whether Flink does not know the job any more, said twice."""
        self.has_checkpoint = False
        self.cluster_type: str | None = None
        self.answered_at = now
        self._answered = answered
        self._says_end = says_end
        self._inspected_at = now
        self._refreshed_at = NEVER
        self._is_refreshed = False
        self._gone_at: float | None = None
        self._newest_failure: int | None = None
        self._unseen_tasks = 0
        self._exceptions = 0
        self._is_missing = False

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.next in ENDED

    @property
    def has_looped(self) -> bool:
        """Whether the job was restarted so often before its tasks ran that this is a failure."""
        return self.awaits_tasks and self.restarts >= MAX_RESTARTS

    @property
    def awaits_tasks(self) -> bool:
        """Whether the job's tasks are visible and have not been seen running."""
        return self.sees_tasks and not self.is_up

    def facts(self) -> JobFacts:
        """What is known of the job now."""
        return JobFacts(
            JobStatus.UNKNOWN if self.status is None else self.status,
            self.error,
            self.has_checkpoint,
            self.restarts if self.has_looped else 0,
            self.is_gone,
            self.cluster_type,
        )

    def allow(self, sees_flink: bool) -> None:
        """Whether, over the connection that is used from now on, Dinky can be made to look again and tasks are seen."""
        self.can_refresh = sees_flink
        self.sees_tasks = sees_flink and self.wait_for in _UP

    def lines(self, name: str) -> list[str]:
        """The lines that the log is due, each only once.

        :param name: the job's; of a job that is not there yet, what is awaited.
        """
        return self.log.take(name)

    def begin_at(self, status: JobStatus, now: float) -> None:
        """Begin with a state that somebody else has seen, and said, last; it is no verdict yet."""
        self._answered = True
        self._enter(status, now)

    @_unless_ended
    def saw(
        self,
        status: JobStatus,
        now: float,
        *,
        error: str | None = None,
        refreshed: bool = False,
        gone: bool = False,
    ) -> None:
        """Dinky has said the job's state.

        :param error: what Dinky noted for it.
        :param refreshed: after it was made to look again.
        :param gone: Flink itself has just answered that it does not know the job.
        """
        self._hear(now)
        changed = status != self.status
        if changed:
            self.restarts += status == JobStatus.RESTARTING
            self._enter(status, now)
        self.error = error or (None if changed else self.error)
        if refreshed:
            self._refreshed_at, self._is_refreshed = now, True
            self._note_gone(status, now, gone)
        self.next = self._verdict(status, now)
        if changed and (self._says_end or not self.has_ended):
            self.log.news(lambda name: state_line(name, status), now)
        elif not self.has_ended:
            since = self.since
            self.log.unchanged(lambda name: unchanged_line(name, status, now - since), now)

    @_unless_ended
    def saw_none(self, now: float) -> None:
        """Dinky has answered that there is no such job yet."""
        self._hear(now)
        self.next = Next.LOOK
        is_news, self._is_missing = not self._is_missing and self._says_end, True
        if is_news:
            self.log.news(not_there_line, now)
        else:
            self.log.unchanged(not_there_line, now)

    @_unless_ended
    def no_refresh(self, now: float, *, is_over: bool = False) -> None:
        """A forced refresh had no result; the next one is due as if it had been answered.

        :param is_over: it will have none: Dinky refuses it, or it must not be asked for.
        """
        self._refreshed_at = now
        self._is_refreshed = self._is_refreshed or is_over
        if self.next is Next.REFRESH:
            self.next = Next.LOOK

    @_unless_ended
    def saw_tasks(self, running: int, total: int, failures: Sequence[int] | None, now: float) -> None:
        """How many of the job's tasks run or have finished.

        :param failures: when the job failed so far, in milliseconds since 1970; None where that is not visible.
        """
        self._inspected_at, self._unseen_tasks = now, 0
        if failures is not None:
            self._count(failures)
        changed, self.tasks = self.tasks != [running, total], [running, total]
        if 0 < total <= running and self.status == JobStatus.RUNNING:
            self.is_up = True
        elif changed:
            self.log.news(lambda name: tasks_line(name, running, total), now)
        self._go_on(now)

    @_unless_ended
    def no_tasks(self, now: float, *, forbidden: bool = False) -> None:
        """The job's tasks are not visible.

        :param forbidden: and never will be: RUNNING is believed without them, as it is after some such looks.
        """
        self._inspected_at = now
        self._unseen_tasks += 1
        if forbidden or self._unseen_tasks >= LOOKS_FOR_TASKS:
            self.sees_tasks, self.is_up = False, True
        self._go_on(now)

    @_unless_ended
    def saw_checkpoint(self, now: float, *, complete: bool = True) -> None:
        """Whether the job, which runs, has completed a checkpoint."""
        self._inspected_at = now
        if complete:
            self.has_checkpoint = True
            self.next = Next.DONE
            if self._says_end:
                self.log.news(checkpoint_line, now)
        else:
            self.next = Next.LOOK

    @_unless_ended
    def not_inspected(self, error: Exception, now: float) -> None:
        """The question about tasks or checkpoints was not answered."""
        self.next = Next.LOOK
        silent = now - self._inspected_at
        if is_about_the_job(error, self._answered, self._exceptions):
            self._cannot_read(str(error), error)
        elif silent >= self.max_outage:
            self._cannot_read(too_long(silent, error), error)

    @_unless_ended
    def no_answer(self, error: Exception | str, now: float) -> None:
        """A look was not answered, or not with what it asked for.

        :param error: what came instead; a text for what certainly says nothing about the job.
        """
        silent = now - self.answered_at
        problem = error if isinstance(error, Exception) else None
        self._exceptions = self._exceptions + 1 if is_exception_in_dinky(error) else 0
        if problem is not None and is_about_the_job(problem, self._answered, self._exceptions):
            self._cannot_read(str(error), problem)
        elif silent >= self.max_outage:
            self._cannot_read(too_long(silent, error), problem)
        else:
            self.next = Next.LOOK
            self.log.no_answer(silent, error, now)

    @_unless_ended
    def give_up(self, why: str) -> None:
        """The job cannot be followed any more, for a reason of somebody else's."""
        self._cannot_read(why, None)

    @property
    def confirms_at(self) -> float | None:
        """When Flink's answer that it does not know the job is to be confirmed; None for no such answer."""
        return None if self._gone_at is None or self.has_ended else self._gone_at + CONFIRM_AFTER

    def _hear(self, now: float) -> None:
        self._answered, self.answered_at, self._exceptions = True, now, 0
        self.log.answered(now)

    def _enter(self, status: JobStatus, now: float) -> None:
        was_running = self.status == JobStatus.RUNNING
        self.status, self.since = status, now
        self._is_refreshed, self._gone_at, self.is_gone = False, None, False
        self._refreshed_at = NEVER if status in _DOUBTFUL else now
        if not was_running:
            self._inspected_at = now

    def _note_gone(self, status: JobStatus, now: float, gone: bool) -> None:
        if status != JobStatus.UNKNOWN or not gone:
            self._gone_at = None
        elif self._gone_at is None:
            self._gone_at = now
        elif now - self._gone_at >= CONFIRM_AFTER:
            self.is_gone = True

    def _verdict(self, status: JobStatus, now: float) -> Next:
        result = outcome(status, self.wait_for)
        if result is Outcome.FAILED or self.is_gone or self.has_looped:
            return Next.FAILED
        if result is Outcome.LOST and self._is_lost_for_good(now):
            return Next.FAILED
        if status == JobStatus.FINISHED:
            return Next.DONE
        if (
            status in (JobStatus.RUNNING, JobStatus.RESTARTING)
            and (step := self._while_up(status)) is not None
        ):
            return step
        if result is Outcome.DONE:
            return Next.DONE
        return Next.REFRESH if self._is_refresh_due(status, now) else Next.LOOK

    def _while_up(self, status: JobStatus) -> Next | None:
        if self.wait_for not in _UP:
            return None
        if self.awaits_tasks:
            return Next.TASKS
        if status != JobStatus.RUNNING or self.wait_for is WaitFor.RUNNING:
            return None
        return Next.DONE if self.has_checkpoint else Next.CHECKPOINT

    def _go_on(self, now: float) -> None:
        """After a look at the tasks: not once more before the next look at the job."""
        step = self._verdict(self.status, now) if self.status is not None else Next.LOOK
        self.next = Next.LOOK if step is Next.TASKS else step

    def _is_lost_for_good(self, now: float) -> bool:
        longer = self.max_outage if self.can_refresh and not self._is_refreshed else 0.0
        return now - self.since >= self.unknown_timeout + longer

    def _is_refresh_due(self, status: JobStatus, now: float) -> bool:
        if not self.can_refresh or (status != JobStatus.UNKNOWN and is_application(self.cluster_type)):
            return False
        if self._gone_at is not None:
            return now - self._gone_at >= CONFIRM_AFTER
        if status in _DOUBTFUL:
            return now - self._refreshed_at >= REFRESH_LOST_EVERY
        awaits_end = status == JobStatus.RUNNING and self.wait_for is WaitFor.FINISHED
        return awaits_end and now - self._refreshed_at >= REFRESH_QUIET_EVERY

    def _count(self, failures: Sequence[int]) -> None:
        """Count the failures since the first look at them: an old job may have failed often before."""
        newest = max(failures, default=0)
        if self._newest_failure is None:
            self._newest_failure = newest
            return
        self.restarts = max(self.restarts, sum(one > self._newest_failure for one in failures))

    def _cannot_read(self, why: str, problem: Exception | None) -> None:
        self.next, self.unreadable, self.problem = Next.UNREADABLE, why, problem
