# SPDX-License-Identifier: Apache-2.0
"""Whether a job is healthy: pure rules over what Dinky and Flink say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dinky.client.status import JobStatus

if TYPE_CHECKING:
    from airflow_provider_dinky.flink_view import FlinkView


@dataclass(frozen=True)
class Limits:
    """What is demanded of a job, beside that it runs.

    :param max_checkpoint_age: seconds since its last completed checkpoint; None for any.
    :param max_restarts: how often it may have been restarted within ``restarts_within``; None for any number.
    :param restarts_within: seconds.
    """

    max_checkpoint_age: float | None = None
    max_restarts: int | None = None
    restarts_within: float = 3600.0

    @property
    def need_flink(self) -> bool:
        """Whether only Flink can tell if they are kept."""
        return self.max_checkpoint_age is not None or self.max_restarts is not None


@dataclass(frozen=True)
class Finding:
    """What one check found.

    :param topic: for a sentence with a number that grows by itself: what it is about. Only then two that differ say
        the same.
    """

    ok: bool
    sentence: str
    topic: str | None = None

    @property
    def news(self) -> str:
        """What is another one only if the finding is."""
        return f"{self.ok} {self.topic or self.sentence}"


def examine(
    status: JobStatus | None, view: FlinkView | None, limits: Limits, unseen: str | None = None
) -> tuple[Finding, ...]:
    """What the checks find, one sentence each; times are those of Flink's own clock.

    :param status: what Dinky says of the job; None where there is none. What Flink says now counts more.
    :param view: what Flink says.
    :param unseen: why there is no view.
    """
    if status is None:
        return (Finding(False, "There is no job"),)
    state = JobStatus(view.state) if view and view.state else status
    problem = view.problem if view else unseen
    findings = [_running(state, problem)]
    if state.is_final:
        return tuple(findings)
    if limits.max_checkpoint_age is not None:
        findings.append(_checkpoint(view, problem, limits.max_checkpoint_age))
    if limits.max_restarts is not None:
        findings.append(_restarts(view, problem, limits.max_restarts, limits.restarts_within))
    return tuple(findings)


def _running(state: JobStatus, problem: str | None) -> Finding:
    if state == JobStatus.RUNNING and problem:
        # Dinky says so for a while after it has lost sight of a job.
        return Finding(False, f"Whether it runs is not known: {problem}")
    if state == JobStatus.RUNNING:
        return Finding(True, "It is RUNNING")
    lost = ": Dinky lost sight of it" if state == JobStatus.UNKNOWN else ""
    return Finding(False, f"It is {state}, not RUNNING{lost}")


def _checkpoint(view: FlinkView | None, problem: str | None, allowed: float) -> Finding:
    if view is None or view.now is None:
        return Finding(False, f"Its checkpoints cannot be seen: {problem or 'Flink does not tell its time'}")
    completed = [one.completed_at for one in view.checkpoints if not one.is_savepoint and one.completed_at]
    if not completed:
        off = "takes no checkpoints: checkpointing is off"
        return Finding(
            False, f"It {off if view.checkpointing is False else 'has completed no checkpoint yet'}"
        )
    age = max(0.0, (view.now - max(completed)) / 1000)
    said = f"Its last checkpoint was complete {_span(age)} ago"
    if age <= allowed:
        return Finding(True, said, "age of the last checkpoint")
    return Finding(False, f"{said}, longer than the {_span(allowed)} allowed", "age of the last checkpoint")


def _restarts(view: FlinkView | None, problem: str | None, allowed: int, within: float) -> Finding:
    if view is None or view.now is None or view.failures is None:
        return Finding(False, f"Its restarts cannot be seen: {problem or 'Flink does not tell its failures'}")
    since = view.now - within * 1000
    count = sum(failed >= since for failed in view.failures)
    # A list that is cut off and whose every entry counts says no more than "at least".
    more = view.failures_truncated and count == len(view.failures)
    said = f"It failed {'at least ' * more}{count} time{'s' * (count != 1)} within the last {_span(within)}"
    if count > allowed:
        return Finding(False, f"{said}, more than the {allowed} allowed")
    if more:
        return Finding(False, f"{said}, and Flink lists no more: whether it kept to {allowed} is not known")
    return Finding(True, said)


def _span(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
