# SPDX-License-Identifier: Apache-2.0
"""What a status means for what is awaited."""

from __future__ import annotations

import pytest

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Outcome, WaitFor, outcome

UNLISTED = JobStatus("HIBERNATING")
ON_THE_WAY = [
    JobStatus.INITIALIZING,
    JobStatus.CREATED,
    JobStatus.RECONCILING,
    JobStatus.RECONNECTING,
    JobStatus.RESTARTING,
    JobStatus.SUSPENDED,
    JobStatus.FAILING,
    JobStatus.CANCELLING,
    UNLISTED,
]
TABLE: dict[JobStatus, tuple[Outcome, Outcome]] = {
    **dict.fromkeys(ON_THE_WAY, (Outcome.WAIT, Outcome.WAIT)),
    JobStatus.RUNNING: (Outcome.DONE, Outcome.WAIT),
    JobStatus.FINISHED: (Outcome.DONE, Outcome.DONE),
    JobStatus.FAILED: (Outcome.FAILED, Outcome.FAILED),
    JobStatus.CANCELED: (Outcome.FAILED, Outcome.FAILED),
    JobStatus.UNKNOWN: (Outcome.LOST, Outcome.LOST),
}


def test_the_table_is_total() -> None:
    assert set(TABLE) == {*JobStatus, UNLISTED}


@pytest.mark.parametrize(("status", "outcomes"), TABLE.items(), ids=lambda value: str(value))
def test_outcome(status: JobStatus, outcomes: tuple[Outcome, Outcome]) -> None:
    assert (outcome(status, WaitFor.RUNNING), outcome(status, WaitFor.FINISHED)) == outcomes
    assert outcome(status, WaitFor.SUBMITTED) is Outcome.DONE
    # No status tells of a checkpoint, so whoever awaits one waits on.
    assert outcome(status, WaitFor.CHECKPOINTED) is outcomes[1]


def test_final_and_lost_agree_with_the_table() -> None:
    for status in TABLE:
        ended = outcome(status, WaitFor.FINISHED) in (Outcome.DONE, Outcome.FAILED)
        assert status.is_final is ended
        assert status.is_active is not ended


def test_words() -> None:
    assert [str(wait_for) for wait_for in WaitFor] == ["submitted", "running", "checkpointed", "finished"]
