# SPDX-License-Identifier: Apache-2.0
"""The schedule on a clock that is only a number."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.watcher.schedule import GATHER, Schedule, next_moment

INTERVALS = st.sampled_from([2.5, 7.0, 10.0, 60.0])
KINDS = st.sampled_from([{}, {"moments": 20}, {"moments": 7}, {"ahead": 0.5}])
ROUNDING = 1e-6


@dataclass(eq=False)
class Job:
    poll_interval: float
    joins_at: float = 0.0
    leaves_at: float = float("inf")
    is_wanted: bool = True
    place: int = 0


def new_schedule(**kind: float) -> Schedule[Job]:
    return Schedule(chance=random.Random(1), **kind)  # type: ignore[arg-type]


def run(schedule: Schedule[Job], jobs: list[Job], until: float, limit: int) -> list[tuple[float, list[Job]]]:
    """Take what is due whenever something is, until a given time; returns what was taken when."""
    taken, now = [], 0.0
    waiting = sorted(jobs, key=lambda job: job.joins_at)
    while now <= until:
        for job in jobs:
            job.is_wanted = now < job.leaves_at
        while waiting and waiting[0].joins_at <= now:
            schedule.join(waiting.pop(0), now)
        while batch := schedule.take(now, limit):
            taken.append((now, batch))
            for job in batch:
                schedule.look_again(job, now)
        moments = [schedule.next_look(), waiting[0].joins_at if waiting else None]
        now = min((moment for moment in moments if moment is not None), default=until + 1)
    return taken


JOBS = st.lists(
    st.builds(
        Job,
        poll_interval=INTERVALS,
        joins_at=st.floats(0, 30, allow_nan=False),
        leaves_at=st.just(float("inf")) | st.floats(0, 100, allow_nan=False),
    ),
    min_size=1,
    max_size=12,
)


@given(jobs=JOBS, limit=st.sampled_from([1, 3, 1000]), kind=KINDS)
def test_each_wanted_job_comes_once_an_interval(jobs: list[Job], limit: int, kind: dict[str, float]) -> None:
    until = 100.0
    taken = run(new_schedule(**kind), jobs, until, limit)

    assert all(1 <= len(batch) <= limit for _, batch in taken)
    seen: dict[int, list[float]] = defaultdict(list)
    for now, batch in taken:
        for job in batch:
            assert job.joins_at <= now < job.leaves_at
            seen[id(job)].append(now)
    for job in jobs:
        looks = seen[id(job)]
        first = job.joins_at + (GATHER if "ahead" in kind else 0)
        if first + ROUNDING < min(job.leaves_at, until):
            assert job.joins_at <= looks[0] <= first + ROUNDING
        gaps = [later - earlier for earlier, later in itertools.pairwise(looks)]
        assert all(gap <= job.poll_interval + ROUNDING for gap in gaps)
        # The first regular moment may come soon after the first look.
        assert all(gap >= 0.5 * job.poll_interval - ROUNDING for gap in gaps[1:])
        if looks:
            assert min(job.leaves_at, until) - looks[-1] <= job.poll_interval + ROUNDING


@given(st.lists(st.floats(0, 10, allow_nan=False), min_size=2, max_size=40))
def test_jobs_that_join_one_by_one_come_to_be_due_together(joins: list[float]) -> None:
    interval = 10.0
    jobs = [Job(interval, joins_at=moment) for moment in joins]
    taken = run(new_schedule(ahead=0.5), jobs, 100.0, 1000)

    last_interval = [len(batch) for now, batch in taken if now > 100.0 - interval]
    assert len(last_interval) <= 2
    # For good: the two groups, if there are two, are more than half an interval apart on the way round.
    assert sum(last_interval) >= len(jobs)


def test_never_more_than_the_limit_and_the_longest_due_first() -> None:
    schedule, jobs = new_schedule(), [Job(10) for _ in range(5)]
    for number, job in enumerate(jobs):
        schedule.look_at(job, 5 - number)

    assert schedule.take(10, 3) == [jobs[4], jobs[3], jobs[2]]
    assert schedule.take(10, 3) == [jobs[1], jobs[0]]
    assert schedule.take(10, 3) == []


@pytest.mark.parametrize("count", [20, 100, 1000])
def test_looks_are_spread_evenly(count: int) -> None:
    moments, interval = 20, 10.0
    jobs = [Job(interval) for _ in range(count)]
    taken = run(new_schedule(moments=moments), jobs, 100.0, 1)
    shares = Counter(round(now, 3) for now, _ in taken if 50 < now <= 60 - ROUNDING)

    assert set(shares.values()) == {count // moments}
    assert len(shares) == moments


def test_two_triggerers_dont_ask_at_the_same_moments() -> None:
    def moments(seed: int) -> set[float]:
        schedule: Schedule[Job] = Schedule(moments=20, chance=random.Random(seed))
        return {round(now, 6) for now, _ in run(schedule, [Job(10) for _ in range(40)], 50.0, 1) if now}

    assert not moments(1) & moments(2)


@given(count=st.integers(1, 200), now=st.floats(100, 200, allow_nan=False))
def test_what_was_missed_is_spread_and_nothing_is_lost(count: int, now: float) -> None:
    interval, moments = 10.0, 20
    jobs = [Job(interval) for _ in range(count)]
    schedule = new_schedule(moments=moments)
    for job in jobs:
        schedule.join(job, 0)
    schedule.spread_overdue(now)

    assert schedule.take(now, count) == []
    taken = run(schedule, [], now + 2 * interval, 1)
    first: dict[int, float] = {}
    for when, (job,) in taken:
        first.setdefault(id(job), when)
    assert len(first) == count
    assert all(now < when <= now + interval + ROUNDING for when in first.values())
    assert max(Counter(round(when, 3) for when in first.values()).values()) <= -(-count // moments)


@given(
    now=st.floats(0, 1e9, allow_nan=False),
    interval=st.floats(0.01, 86_400, allow_nan=False),
    phase=st.floats(0, 1, allow_nan=False),
)
def test_the_next_moment_is_after_now_and_within_an_interval(
    now: float, interval: float, phase: float
) -> None:
    moment = next_moment(now, interval, phase)

    assert now < moment <= now + interval * (1 + 1e-6) + 1e-6
    turns = (moment - phase * interval) / interval
    assert turns == pytest.approx(round(turns), abs=1e-3)


@pytest.mark.parametrize("interval", [0.1, 2.5, 7.0, 60.0])
def test_right_on_a_moment_the_next_one_is_an_interval_later(interval: float) -> None:
    for phase in (0.0, 0.134, 0.184, 0.5, 0.55):
        moment = 0.0
        for _ in range(200):
            moment = next_moment(moment, interval, phase)
            assert next_moment(moment, interval, phase) == pytest.approx(moment + interval)


def test_without_an_interval_the_next_moment_is_now() -> None:
    assert next_moment(7.0, 0.0, 0.5) == 7.0


def test_nothing_to_look_at() -> None:
    schedule = new_schedule()
    assert schedule.next_look() is None
    schedule.look_at(Job(10, is_wanted=False), 5)
    assert schedule.next_look() is None
    assert schedule.take(10, 1) == []
