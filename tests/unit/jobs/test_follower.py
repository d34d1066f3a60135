# SPDX-License-Identifier: Apache-2.0
"""What looks at a job, answers that do not come, and the time mean for whoever waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.errors import (
    CheckpointingOffError,
    DinkyConfigError,
    DinkyConnectionError,
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
    FlinkNotVisibleError,
)
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Outcome, WaitFor, outcome
from airflow_provider_dinky.jobs.follower import (
    LOOKS_FOR_TASKS,
    MAX_RESTARTS,
    REFRESH_LOST_EVERY,
    REFRESH_QUIET_EVERY,
    Follower,
)
from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER
from airflow_provider_dinky.jobs.kept import restore, to_json
from airflow_provider_dinky.jobs.next_step import ENDED, Next
from airflow_provider_dinky.jobs.outage import EXCEPTIONS_IN_A_ROW

RUNNING, UNKNOWN, RESTARTING = JobStatus.RUNNING, JobStatus.UNKNOWN, JobStatus.RESTARTING
REFUSED = DinkyConnectionError("refused", sent=False)
PAGE = DinkyResponseError("the answer is not JSON")


def exception_in_dinky(code: int = 5) -> DinkyRefusedError:
    return DinkyRefusedError("an exception", code=code, reason="it")


def follower(wait_for: WaitFor = WaitFor.FINISHED, **settings: Any) -> Follower:
    return Follower(wait_for, 0, **{"sees_flink": True, "answered": True, **settings})


class TestOutage:
    @pytest.mark.parametrize(
        "error",
        [
            REFUSED,
            DinkyConnectionError("HTTP 502", sent=True),
            PAGE,
            DinkySignInError("401"),
            DinkyError("?"),
        ],
        ids=repr,
    )
    def test_what_says_nothing_of_the_job_is_waited_out(self, error: DinkyError) -> None:
        job = follower(max_outage=100)
        job.saw(RUNNING, 10)
        for at in (20, 109):
            job.no_answer(error, at)
            assert job.next is Next.LOOK
        job.no_answer(error, 110)
        assert job.next is Next.UNREADABLE
        assert job.unreadable == f"no answer for 100 s: {error}"

    def test_an_answer_ends_it(self) -> None:
        job = follower(max_outage=100)
        for at in (90, 180, 270):
            job.no_answer(REFUSED, at)
            job.saw(RUNNING, at + 1)
        assert job.next is Next.LOOK

    @pytest.mark.parametrize(
        "error",
        [
            DinkyNotFoundError("Job Instance Not Exist", code=1, reason="it"),
            exception_in_dinky(1),
            exception_in_dinky(6),
            DinkyConfigError("bad host"),
        ],
        ids=lambda error: f"{type(error).__name__} {getattr(error, 'code', '')}",
    )
    def test_what_is_about_the_job_is_final_at_once(self, error: DinkyError) -> None:
        job = follower()
        job.saw(RUNNING, 0)
        job.no_answer(error, 1)
        assert (job.next, job.unreadable, job.problem) == (Next.UNREADABLE, str(error), error)

    def test_an_exception_in_dinky_is_its_answer_when_it_is_met_again_and_again(self) -> None:
        job = follower()
        for n in range(EXCEPTIONS_IN_A_ROW - 1):
            job.no_answer(exception_in_dinky(), n)
        job.no_answer(REFUSED, 10)
        for n in range(EXCEPTIONS_IN_A_ROW - 1):
            job.no_answer(exception_in_dinky(), 20 + n)
        assert job.next is Next.LOOK
        job.no_answer(exception_in_dinky(), 30)
        assert job.next is Next.UNREADABLE

    @pytest.mark.parametrize("error", [PAGE, DinkySignInError("wrong password"), exception_in_dinky()])
    def test_before_the_first_answer_only_a_lost_connection_is(self, error: DinkyError) -> None:
        job = follower(answered=False)
        job.no_answer(REFUSED, 1)
        assert job.next is Next.LOOK
        job.no_answer(error, 2)
        assert job.next is Next.UNREADABLE

    def test_the_answer_that_there_is_no_job_yet_is_one(self) -> None:
        job = follower(answered=False)
        job.saw_none(0)
        job.no_answer(PAGE, 1)
        assert job.next is Next.LOOK

    def test_it_is_said_and_so_is_its_end(self) -> None:
        job = follower()
        job.no_answer(REFUSED, 59)
        job.no_answer(REFUSED, 60)
        job.no_answer(REFUSED, 70)
        job.saw(RUNNING, 80)
        assert job.lines("it") == [
            "No answer for 60 s, trying on: refused",
            "Dinky answers again",
            "State of it: RUNNING",
        ]


class TestRefresh:
    def test_a_lost_job_is_refreshed_now_and_then(self) -> None:
        job = follower()
        job.saw(RUNNING, 0)
        job.saw(UNKNOWN, 10)
        assert job.next is Next.REFRESH
        job.saw(UNKNOWN, 11, refreshed=True)
        job.saw(UNKNOWN, 11 + REFRESH_LOST_EVERY - 1)
        assert job.next is Next.LOOK
        job.saw(UNKNOWN, 11 + REFRESH_LOST_EVERY)
        assert job.next is Next.REFRESH
        assert job.since == 10

    def test_a_quiet_job_only_where_its_end_is_awaited(self) -> None:
        job, other = follower(), follower(WaitFor.CHECKPOINTED)
        for one in (job, other):
            one.saw(RUNNING, 0)
            one.saw(RUNNING, REFRESH_QUIET_EVERY - 1)
            assert one.next is not Next.REFRESH
            one.saw(RUNNING, REFRESH_QUIET_EVERY)
        assert job.next is Next.REFRESH
        assert other.next is not Next.REFRESH

    @pytest.mark.parametrize("status", [RUNNING, JobStatus.RECONNECTING])
    def test_never_where_the_cluster_ends_with_the_job(self, status: JobStatus) -> None:
        job = follower()
        job.cluster_type = "kubernetes-application"
        for at in (0, 1_000, 2_000):
            job.saw(status, at)
            assert job.next is Next.LOOK
        job.saw(UNKNOWN, 3_000)
        assert job.next is Next.REFRESH

    def test_never_where_it_cannot_be(self) -> None:
        job = follower(sees_flink=False)
        job.saw(UNKNOWN, 0)
        assert job.next is Next.LOOK


class TestUnknown:
    def test_fails_in_the_end(self) -> None:
        job = follower(sees_flink=False, unknown_timeout=100)
        job.saw(UNKNOWN, 10)
        job.saw(UNKNOWN, 109)
        assert not job.has_ended
        job.saw(UNKNOWN, 110)
        assert job.next is Next.FAILED

    def test_not_before_a_refresh_was_answered(self) -> None:
        job = follower(unknown_timeout=100, max_outage=1_000)
        job.saw(UNKNOWN, 0)
        job.no_refresh(1)
        job.saw(UNKNOWN, 500)
        assert job.next is Next.REFRESH
        job.saw(UNKNOWN, 501, refreshed=True)
        assert job.next is Next.FAILED

    def test_a_refresh_that_is_refused_is_not_waited_for(self) -> None:
        job = follower(unknown_timeout=100)
        job.saw(UNKNOWN, 0)
        job.no_refresh(1, is_over=True)
        job.saw(UNKNOWN, 100)
        assert job.next is Next.FAILED

    def test_a_refresh_that_never_comes_is_not_waited_for_for_ever(self) -> None:
        job = follower(unknown_timeout=100, max_outage=1_000)
        job.saw(UNKNOWN, 0)
        job.saw(UNKNOWN, 1_099)
        assert not job.has_ended
        job.saw(UNKNOWN, 1_100)
        assert job.next is Next.FAILED

    def test_lost_anew_from_zero(self) -> None:
        job = follower(sees_flink=False, unknown_timeout=100)
        job.saw(UNKNOWN, 0)
        job.saw(RUNNING, 99)
        job.saw(UNKNOWN, 100)
        job.saw(UNKNOWN, 199)
        assert not job.has_ended

    def test_gone_when_flink_says_so_twice(self) -> None:
        job = follower()
        job.saw(UNKNOWN, 0)
        job.saw(UNKNOWN, 1, refreshed=True, gone=True)
        assert (job.next, job.confirms_at) == (Next.LOOK, 1 + CONFIRM_AFTER)
        job.saw(UNKNOWN, CONFIRM_AFTER)
        assert job.next is Next.LOOK
        job.saw(UNKNOWN, 1 + CONFIRM_AFTER)
        assert job.next is Next.REFRESH
        job.saw(UNKNOWN, 2 + CONFIRM_AFTER, refreshed=True, gone=True)
        assert job.next is Next.FAILED
        assert job.facts().gone

    def test_not_when_it_was_said_twice_within_a_moment(self) -> None:
        job = follower()
        job.saw(UNKNOWN, 0, refreshed=True, gone=True)
        job.saw(UNKNOWN, CONFIRM_AFTER - 1, refreshed=True, gone=True)
        assert not job.has_ended

    @pytest.mark.parametrize("between", [{"refreshed": True}, {"status": RUNNING}])
    def test_not_when_something_else_was_said_between(self, between: dict[str, Any]) -> None:
        job = follower()
        job.saw(UNKNOWN, 0, refreshed=True, gone=True)
        job.saw(between.get("status", UNKNOWN), 10, refreshed="refreshed" in between)
        job.saw(UNKNOWN, 20, refreshed=True, gone=True)
        assert not job.has_ended


class TestTasks:
    def test_running_means_that_every_task_runs(self) -> None:
        job = follower(WaitFor.RUNNING)
        job.saw(RUNNING, 0)
        assert job.next is Next.TASKS
        job.saw_tasks(2, 4, None, 1)
        assert job.next is Next.LOOK
        job.saw(RUNNING, 10)
        assert job.next is Next.TASKS
        job.saw_tasks(4, 4, None, 11)
        assert job.next is Next.DONE
        assert job.lines("it") == ["State of it: RUNNING", "2 of 4 tasks run of it"]

    def test_one_look_more_on_the_way_where_they_run(self) -> None:
        job = follower(WaitFor.RUNNING)
        job.saw(JobStatus.INITIALIZING, 0)
        assert job.next is Next.LOOK
        job.saw(RUNNING, 10)
        job.saw_tasks(1, 1, None, 10)
        assert job.next is Next.DONE

    def test_running_is_believed_where_they_are_not_visible(self) -> None:
        job = follower(WaitFor.RUNNING, sees_flink=False)
        job.saw(RUNNING, 0)
        assert job.next is Next.DONE
        job = follower(WaitFor.RUNNING)
        job.saw(RUNNING, 0)
        job.no_tasks(0, forbidden=True)
        assert job.next is Next.DONE

    def test_and_after_some_looks_that_did_not_show_them(self) -> None:
        job = follower(WaitFor.RUNNING)
        for at in range(LOOKS_FOR_TASKS):
            job.saw(RUNNING, at)
            assert job.next is Next.TASKS
            job.no_tasks(at)
        assert job.next is Next.DONE

    def test_a_checkpoint_is_looked_for_when_they_run(self) -> None:
        job = follower(WaitFor.CHECKPOINTED)
        job.saw(RUNNING, 0)
        job.saw_tasks(0, 1, None, 0)
        job.saw(RUNNING, 1)
        job.saw_tasks(1, 1, None, 1)
        assert job.next is Next.CHECKPOINT
        job.saw_checkpoint(1, complete=False)
        assert job.next is Next.LOOK
        job.saw(RUNNING, 2)
        assert job.next is Next.CHECKPOINT
        job.saw_checkpoint(2)
        assert job.next is Next.DONE
        assert job.facts().checkpointed

    def test_a_job_that_is_seen_restarting_again_and_again_fails(self) -> None:
        job = follower(WaitFor.RUNNING)
        for n in range(MAX_RESTARTS):
            job.saw(RUNNING, 10 * n)
            job.saw_tasks(0, 1, None, 10 * n)
            assert job.next is Next.LOOK
            job.saw(RESTARTING, 10 * n + 5)
        assert job.next is Next.FAILED
        assert job.facts().restarts == MAX_RESTARTS

    def test_or_by_its_failures_where_the_restarts_are_too_short_to_be_seen(self) -> None:
        job = follower(WaitFor.RUNNING)
        failures: list[int] = [5_000, 4_000]
        for n in range(MAX_RESTARTS):
            job.saw(RUNNING, n)
            job.saw_tasks(0, 1, failures, n)
            assert job.next is Next.LOOK
            failures.insert(0, 6_000 + n)
        job.saw(RUNNING, 10)
        job.saw_tasks(0, 1, failures, 10)
        assert job.next is Next.FAILED

    def test_what_an_old_job_went_through_does_not_count(self) -> None:
        job = follower(WaitFor.RUNNING)
        for at in (0, 1, 2):
            job.saw(RESTARTING, at)
            job.saw_tasks(0, 1, list(range(1, 17)), at)
        assert job.next is Next.LOOK

    def test_restarts_do_not_matter_to_who_awaits_the_end(self) -> None:
        job = follower(WaitFor.FINISHED)
        for at in range(10):
            job.saw(RESTARTING if at % 2 else RUNNING, at)
        assert job.next is Next.LOOK

    def test_no_answer_about_them_is_an_outage_of_its_own(self) -> None:
        job = follower(WaitFor.RUNNING, max_outage=100)
        job.saw(RUNNING, 0)
        job.not_inspected(REFUSED, 99)
        assert job.next is Next.LOOK
        job.saw(RUNNING, 100)
        job.not_inspected(REFUSED, 100)
        assert job.next is Next.UNREADABLE

    @pytest.mark.parametrize(
        "error", [CheckpointingOffError("off"), FlinkNotVisibleError("no", forbidden=True)]
    )
    def test_what_will_never_be_seen_is_final(self, error: DinkyError) -> None:
        job = follower(WaitFor.CHECKPOINTED)
        job.saw(RUNNING, 0)
        job.not_inspected(error, 1)
        assert (job.next, job.problem) == (Next.UNREADABLE, error)


STATUSES = st.sampled_from([*JobStatus, JobStatus("HIBERNATING")])
LOOKS = st.lists(st.tuples(STATUSES, st.floats(0, 400)), min_size=1, max_size=30)


@given(LOOKS, st.sampled_from([WaitFor.RUNNING, WaitFor.FINISHED]), st.floats(0.1, 500))
def test_any_series_of_looks(
    looks: list[tuple[JobStatus, float]], wait_for: WaitFor, unknown_timeout: float
) -> None:
    job = follower(wait_for, unknown_timeout=unknown_timeout, sees_flink=False)
    now, since, before = 50.0, 50.0, None
    for status, later in looks:
        now += later
        job.saw(status, now)
        since = since if status == before else now
        expected = outcome(status, wait_for)
        if expected is Outcome.LOST and now - since >= unknown_timeout:
            expected = Outcome.FAILED
        ended = {Outcome.DONE: Next.DONE, Outcome.FAILED: Next.FAILED}
        assert job.next is ended.get(expected, Next.LOOK)
        assert (job.status, job.since) == (status, since)
        before = status
        if job.has_ended:
            return


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["saw", "refreshed", "gone", "none", "no answer", "tasks", "checkpoint", "no refresh"]
        ),
        STATUSES,
        st.floats(0, 100),
        st.integers(0, 2),
    ),
    max_size=40,
)


def feed(job: Follower, step: str, status: JobStatus, now: float, number: int) -> None:
    if step in ("saw", "refreshed", "gone"):
        job.saw(status, now, refreshed=step != "saw", gone=step == "gone")
    elif step == "none":
        job.saw_none(now)
    elif step == "no answer":
        job.no_answer(REFUSED, now)
    elif step == "tasks" and job.next is Next.TASKS:
        job.saw_tasks(number, 2, [number], now)
    elif step == "checkpoint" and job.next is Next.CHECKPOINT:
        job.saw_checkpoint(now, complete=bool(number))
    elif step == "no refresh" and job.next is Next.REFRESH:
        job.no_refresh(now)


@given(STEPS, st.sampled_from(list(WaitFor)))
def test_another_process_goes_on_as_the_same_one_would(
    steps: list[tuple[str, JobStatus, float, int]], wait_for: WaitFor
) -> None:
    now, job = 1.5e9, Follower(wait_for, 1.5e9, sees_flink=True)
    other = Follower(wait_for, now, sees_flink=True)
    for step, status, later, number in steps:
        now += later
        if job.has_ended:
            return
        kept = json.loads(json.dumps(to_json(job)))
        restored = Follower(wait_for, now, sees_flink=True)
        restore(restored, kept)
        restored.next = job.next
        other = restored
        feed(job, step, status, now, number)
        feed(other, step, status, now, number)
        assert (other.next, other.status, other.lines("it")) == (job.next, job.status, job.lines("it"))


@given(STEPS, st.sampled_from(list(WaitFor)))
def test_a_lost_answer_never_ends_a_wait_early(
    steps: list[tuple[str, JobStatus, float, int]], wait_for: WaitFor
) -> None:
    job, now, answered = Follower(wait_for, 0, sees_flink=True, max_outage=300), 0.0, 0.0
    for step, status, later, number in steps:
        now += later
        if job.next in ENDED:
            return
        feed(job, step, status, now, number)
        answered = now if step in ("saw", "refreshed", "gone", "none") else answered
        assert (job.next is Next.UNREADABLE) <= (now - answered >= 300)


@pytest.mark.parametrize(
    "kept", [{}, {"log": {}}, {"log": {"said_at": "x", "told_of_silence": 1}, "status": None}]
)
def test_what_another_version_has_kept_changes_nothing(kept: dict[str, Any]) -> None:
    job = follower()
    job.saw(RUNNING, 1)
    before = to_json(job)
    with pytest.raises((KeyError, TypeError, ValueError)):
        restore(job, kept)
    assert to_json(job) == before


@pytest.mark.parametrize("end", [JobStatus.FINISHED, JobStatus.FAILED])
@pytest.mark.parametrize(
    "late",
    [
        lambda follower: follower.no_answer(REFUSED, 2),
        lambda follower: follower.no_answer("polling broke off", 2),
        lambda follower: follower.saw(UNKNOWN, 2, refreshed=True),
        lambda follower: follower.saw_none(2),
        lambda follower: follower.no_refresh(2, is_over=True),
        lambda follower: follower.saw_tasks(0, 2, [1], 2),
        lambda follower: follower.no_tasks(2),
        lambda follower: follower.saw_checkpoint(2, complete=False),
        lambda follower: follower.not_inspected(REFUSED, 2),
        lambda follower: follower.give_up("the connection is gone"),
    ],
)
def test_an_end_is_final(end: JobStatus, late: Callable[[Follower], None]) -> None:
    """Whoever waits may learn of it a moment later, and would wait for ever for what nobody looks at any more."""
    it = follower()
    it.saw(end, 1)
    known = (it.next, it.facts(), it.unreadable)

    late(it)

    assert it.has_ended
    assert (it.next, it.facts(), it.unreadable) == known
