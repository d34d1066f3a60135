# SPDX-License-Identifier: Apache-2.0
"""What a status means for what is awaited, and what a series of looks adds to that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import (
    REFRESH_LOST_EVERY,
    REFRESH_QUIET_EVERY,
    Outcome,
    Verdict,
    WaitFor,
    Watch,
    outcome,
)

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


def test_a_checkpoint_is_all_that_a_running_job_misses() -> None:
    watch = Watch(WaitFor.CHECKPOINTED, unknown_timeout=100)
    assert not watch.wants_checkpoint
    watch.observe(JobStatus.INITIALIZING, 0)
    assert not watch.wants_checkpoint
    watch.observe(JobStatus.RUNNING, 1)
    assert watch.wants_checkpoint
    watch.saw_checkpoint()
    assert (watch.verdict, watch.wants_checkpoint) == (Outcome.DONE, False)
    assert watch.observe(JobStatus.RUNNING, 2).outcome is Outcome.DONE
    assert watch.observe(JobStatus.FAILED, 3).outcome is Outcome.FAILED


def test_final_and_lost_agree_with_the_table() -> None:
    for status in TABLE:
        ended = outcome(status, WaitFor.FINISHED) in (Outcome.DONE, Outcome.FAILED)
        assert status.is_final is ended
        assert status.is_active is not ended


def test_a_lost_job_is_refreshed_now_and_then_and_fails_in_the_end() -> None:
    watch = Watch(WaitFor.FINISHED, unknown_timeout=100)
    assert watch.observe(JobStatus.RUNNING, 0) == Verdict(Outcome.WAIT, changed=True, refresh=False)
    assert watch.observe(JobStatus.UNKNOWN, 10) == Verdict(Outcome.LOST, changed=True, refresh=True)
    assert watch.observe(JobStatus.UNKNOWN, 39) == Verdict(Outcome.LOST, changed=False, refresh=False)
    assert watch.observe(JobStatus.UNKNOWN, 40) == Verdict(Outcome.LOST, changed=False, refresh=True)
    assert watch.observe(JobStatus.UNKNOWN, 109.9) == Verdict(Outcome.LOST, changed=False, refresh=True)
    assert watch.observe(JobStatus.UNKNOWN, 110) == Verdict(Outcome.FAILED, changed=False, refresh=False)
    assert watch.since == 10


def test_a_job_that_comes_back_is_lost_anew_from_zero() -> None:
    watch = Watch(WaitFor.FINISHED, unknown_timeout=100)
    watch.observe(JobStatus.UNKNOWN, 0)
    watch.observe(JobStatus.RUNNING, 99)
    assert watch.observe(JobStatus.UNKNOWN, 100).outcome is Outcome.LOST
    assert watch.observe(JobStatus.UNKNOWN, 199).outcome is Outcome.LOST
    assert watch.observe(JobStatus.UNKNOWN, 200).outcome is Outcome.FAILED


def test_a_job_that_runs_without_a_change_is_looked_at_anew() -> None:
    watch = Watch(WaitFor.FINISHED, unknown_timeout=100)
    watch.observe(JobStatus.RUNNING, 1_000)
    looks = {at: watch.observe(JobStatus.RUNNING, at).refresh for at in (1_599, 1_600, 1_700, 2_199, 2_200)}
    assert looks == {1_599: False, 1_600: True, 1_700: False, 2_199: False, 2_200: True}


def test_who_awaits_running_needs_no_other_look_at_a_running_job() -> None:
    watch = Watch(WaitFor.RUNNING, unknown_timeout=100)
    assert [watch.observe(JobStatus.RUNNING, at).refresh for at in (0, 10_000)] == [False, False]


LOOKS = st.lists(st.tuples(st.sampled_from(list(TABLE)), st.floats(0, 400)), min_size=1, max_size=30)


@given(LOOKS, st.sampled_from([WaitFor.RUNNING, WaitFor.FINISHED]), st.floats(0.1, 500))
def test_any_series_of_looks(
    looks: list[tuple[JobStatus, float]], wait_for: WaitFor, unknown_timeout: float
) -> None:
    watch = Watch(wait_for, unknown_timeout)
    now, since, before = 50.0, 50.0, None
    refreshes: list[float] = []
    for status, later in looks:
        now += later
        verdict = watch.observe(status, now)
        since = since if status == before else now
        if status != before:
            refreshes.clear()
        # What one look says stays true; only a lost job fails for having been lost for long.
        expected = outcome(status, wait_for)
        if expected is Outcome.LOST and now - since >= unknown_timeout:
            expected = Outcome.FAILED
        assert (verdict.outcome, verdict.changed) == (expected, status != before)
        assert (watch.status, watch.since, watch.verdict) == (status, since, expected)
        # Nobody is made to look anew at what is decided, nor too often at what is not.
        assert not (verdict.refresh and expected in (Outcome.DONE, Outcome.FAILED))
        doubtful = status in (JobStatus.UNKNOWN, JobStatus.RECONNECTING)
        assert not verdict.refresh or doubtful or (status, wait_for) == (JobStatus.RUNNING, WaitFor.FINISHED)
        if verdict.refresh:
            every = REFRESH_LOST_EVERY if doubtful else REFRESH_QUIET_EVERY
            assert now - (refreshes[-1] if refreshes else float("-inf")) >= every
            refreshes.append(now)
        before = status


@pytest.mark.parametrize("wait_for", WaitFor)
@pytest.mark.parametrize("status", [JobStatus.UNKNOWN, JobStatus.RECONNECTING])
def test_a_doubtful_job_is_looked_at_anew_at_once(wait_for: WaitFor, status: JobStatus) -> None:
    assert Watch(wait_for, 100).observe(status, 0).refresh is (wait_for is not WaitFor.SUBMITTED)


def test_words() -> None:
    assert [str(wait_for) for wait_for in WaitFor] == ["submitted", "running", "checkpointed", "finished"]
