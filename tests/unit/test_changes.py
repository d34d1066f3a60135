# SPDX-License-Identifier: Apache-2.0
"""Which changes of a task are told: each once, none lost, and none that is no news."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.changes import Change, Changes, EventKind, Memory
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Seen

ALL = frozenset(EventKind)
UNLISTED = JobStatus("HIBERNATING")
ON_THE_WAY = ("INITIALIZING", "CREATED", "RESTARTING", "SUSPENDED", "FAILING", "CANCELLING", str(UNLISTED))
RULES = Changes(ALL, settle=60, unknown_timeout=600, down_after=60)
START = 1_700_000_000.0

Look = tuple[float, int | None, str | None]
"""Seconds after the look before, the newest run, its state."""


@dataclass
class Watching:
    """Looks one after the other; what was told and when, in seconds since the first look."""

    rules: Changes = RULES
    memory: Memory | None = None
    now: float = START
    told: list[tuple[float, Change]] = field(default_factory=list)

    def sees(
        self,
        after: float,
        instance: int | None,
        status: str | None,
        *,
        previous: tuple[int, str] | None = None,
        stopped: int | None = None,
    ) -> list[str]:
        """What is told at a look, in short."""
        self.now += after
        self.memory, changes = self.rules.observe(
            self.memory,
            seen(instance, status),
            self.now,
            previous=seen(*previous) if previous else None,
            stopped_by_airflow=stopped,
        )
        self.told += [(self.now - START, change) for change in changes]
        return [f"{change.kind} {change.job_instance_id}" for change in changes]


def seen(instance: int | None, status: str | None) -> Seen | None:
    return None if instance is None else Seen(instance, JobStatus(status))


class TestFailed:
    def test_is_told_at_once_and_once(self) -> None:
        watching = Watching()
        assert watching.sees(0, 5, "RUNNING") == []
        assert watching.sees(30, 5, "FAILED") == ["FAILED 5"]
        assert watching.sees(10, 5, "FAILED") == []

    def test_also_at_a_first_look(self) -> None:
        assert Watching().sees(0, 5, "FAILED") == ["FAILED 5"]

    def test_of_each_run(self) -> None:
        watching = Watching(replace(RULES, states={EventKind.FAILED}))
        assert watching.sees(0, 5, "FAILED") == ["FAILED 5"]
        assert watching.sees(30, 6, "FAILED") == ["FAILED 6"]

    def test_is_not_lost_if_another_run_has_begun_since(self) -> None:
        watching = Watching()
        watching.sees(0, 5, "RUNNING")
        assert watching.sees(30, 6, "RUNNING", previous=(5, "FAILED")) == ["FAILED 5"]
        assert watching.sees(30, 6, "RUNNING") == ["RUNNING 6"]
        assert watching.sees(30, 6, "RUNNING") == []

    def test_two_in_a_row_are_two(self) -> None:
        watching = Watching(replace(RULES, states={EventKind.FAILED}))
        watching.sees(0, 5, "RUNNING")
        assert watching.sees(30, 6, "FAILED", previous=(5, "FAILED")) == ["FAILED 5"]
        assert watching.sees(30, 6, "FAILED") == ["FAILED 6"]
        assert watching.sees(30, 6, "FAILED") == []

    def test_that_nobody_heard_of_is_told_later(self) -> None:
        watching = Watching()
        watching.sees(0, 5, "RUNNING")
        watching.sees(30, 5, "FAILED")
        assert watching.memory is not None
        watching.memory = watching.memory.before([change for _, change in watching.told])
        assert watching.sees(30, 6, "RUNNING") == ["FAILED 5"]

    def test_the_run_to_look_up_is_one_that_was_active(self) -> None:
        def unfinished(status: str, newest: int | None) -> int | None:
            return RULES.unfinished(Memory(5, JobStatus(status), START), seen(newest, "RUNNING"))

        assert unfinished("RUNNING", 6) == unfinished("UNKNOWN", 6) == unfinished("RUNNING", None) == 5
        assert unfinished("RUNNING", 5) is unfinished("FAILED", 6) is unfinished("CANCELED", 6) is None
        assert RULES.unfinished(None, seen(5, "RUNNING")) is None
        assert RULES.unfinished(Memory(None, None, START), seen(5, "RUNNING")) is None


@pytest.mark.parametrize("status", ["CANCELED", "FINISHED"])
class TestStopped:
    def test_is_told_after_a_while(self, status: str) -> None:
        watching = Watching(replace(RULES, down_after=1e9))
        watching.sees(0, 5, "RUNNING")
        assert watching.sees(30, 5, status) == []
        assert watching.sees(59, 5, status) == []
        assert watching.sees(1, 5, status) == [f"{status} 5"]
        assert watching.sees(60, 5, status) == []
        assert watching.told[0][1].since == START + 30

    def test_a_restart_is_no_event(self, status: str) -> None:
        watching = Watching()
        watching.sees(0, 5, "RUNNING")
        assert watching.sees(30, 5, status) == []
        assert watching.sees(30, 6, "INITIALIZING") == []
        assert watching.sees(30, 6, "RUNNING") == []
        assert watching.sees(600, 6, "RUNNING") == []

    def test_a_restart_between_two_looks_is_none_either(self, status: str) -> None:
        watching = Watching()
        watching.sees(0, 5, "RUNNING")
        assert watching.sees(300, 6, "RUNNING", previous=(5, status)) == []

    def test_not_what_was_so_at_a_first_look(self, status: str) -> None:
        watching = Watching(replace(RULES, states=ALL - {EventKind.DOWN}))
        for _ in range(5):
            assert watching.sees(60, 5, status) == []

    def test_not_if_airflow_did_it(self, status: str) -> None:
        watching = Watching()
        watching.sees(0, 5, "RUNNING", stopped=5)
        for _ in range(5):
            assert watching.sees(60, 5, status, stopped=5) == []
        assert watching.sees(60, 6, "RUNNING", stopped=5) == ["RUNNING 6"]
        watching.sees(60, 6, status, stopped=5)
        assert watching.sees(60, 6, status, stopped=5) == [f"{status} 6", "DOWN 6"]


class TestUnknown:
    @pytest.mark.parametrize("before", [[], [(0, 5, "RUNNING")]])
    def test_is_told_after_a_long_while(self, before: list[Look]) -> None:
        watching = Watching()
        for look in before:
            watching.sees(*look)
        assert watching.sees(30, 5, "UNKNOWN") == []
        assert watching.sees(599, 5, "UNKNOWN") == []
        assert watching.sees(1, 5, "UNKNOWN") == ["UNKNOWN 5"]
        assert watching.sees(600, 5, "UNKNOWN") == []

    def test_a_refresh_in_between_does_not_put_it_off(self) -> None:
        watching = Watching()
        for _ in range(10):
            assert watching.sees(30, 5, "UNKNOWN") == watching.sees(30, 5, "RECONNECTING") == []
        assert watching.sees(30, 5, "UNKNOWN") == ["UNKNOWN 5"]

    def test_a_short_one_is_no_news_and_neither_is_that_it_is_over(self) -> None:
        watching = Watching()
        for _ in range(10):
            assert watching.sees(30, 5, "RUNNING") == watching.sees(300, 5, "UNKNOWN") == []

    def test_each_time_is_one(self) -> None:
        watching = Watching()
        for _ in range(3):
            watching.sees(30, 5, "UNKNOWN")
            assert watching.sees(600, 5, "UNKNOWN") == ["UNKNOWN 5"]
            assert watching.sees(30, 5, "RUNNING") == ["RUNNING 5"]
        assert len({change.name for _, change in watching.told}) == 6


class TestRunning:
    def test_not_at_a_first_look(self) -> None:
        watching = Watching()
        assert watching.sees(0, 5, "RUNNING") == watching.sees(30, 5, "RUNNING") == []

    @pytest.mark.parametrize(
        "bad", [(5, "FAILED"), (5, "CANCELED"), (5, "FINISHED"), (5, "UNKNOWN"), (None, None)]
    )
    @pytest.mark.parametrize("on_the_way", [None, "INITIALIZING", "RESTARTING"])
    def test_after_it_was_down_or_lost(
        self, bad: tuple[int | None, str | None], on_the_way: str | None
    ) -> None:
        watching = Watching()
        watching.sees(0, *bad)
        watching.sees(700, *bad)
        if on_the_way:
            assert watching.sees(30, 6, on_the_way) == []
        assert watching.sees(30, 6, "RUNNING") == ["RUNNING 6"]
        assert watching.sees(30, 6, "RUNNING") == []

    @pytest.mark.parametrize("on_the_way", ON_THE_WAY)
    def test_not_after_flink_has_restarted_it(self, on_the_way: str) -> None:
        watching = Watching()
        watching.sees(0, 5, "FAILED")
        assert watching.sees(30, 6, "RUNNING") == ["RUNNING 6"]
        assert watching.sees(30, 6, on_the_way) == watching.sees(30, 6, "RUNNING") == []


class TestDown:
    @pytest.mark.parametrize("down", [(5, "FAILED"), (5, "CANCELED"), (5, "FINISHED"), (None, None)], ids=str)
    @pytest.mark.parametrize("first", [True, False])
    def test_is_told_after_a_while(self, down: tuple[int | None, str | None], first: bool) -> None:
        watching = Watching(replace(RULES, states={EventKind.DOWN}))
        if not first:
            watching.sees(0, 4, "RUNNING")
        assert watching.sees(30, *down) == []
        assert watching.sees(59, *down) == []
        assert watching.sees(1, *down) == [f"DOWN {down[0]}"]
        assert watching.sees(600, *down) == []

    def test_not_while_a_job_is_on_its_way_or_out_of_sight(self) -> None:
        watching = Watching(replace(RULES, states={EventKind.DOWN}))
        for status in (*ON_THE_WAY, "UNKNOWN", "RECONNECTING", "RUNNING"):
            assert watching.sees(700, 5, status) == []


def test_only_what_is_wanted_is_told() -> None:
    watching = Watching(replace(RULES, states={EventKind.RUNNING}))
    for status in ("FAILED", "CANCELED", "FINISHED", "UNKNOWN"):
        assert watching.sees(700, 5, status) == watching.sees(700, 5, status) == []
    assert watching.sees(30, 5, "RUNNING") == ["RUNNING 5"]


def test_a_clock_set_back_puts_nothing_off() -> None:
    watching = Watching()
    watching.sees(0, 5, "RUNNING")
    watching.sees(30, 5, "CANCELED")
    watching.sees(-3600, 5, "CANCELED")
    assert watching.sees(60, 5, "CANCELED") == ["CANCELED 5", "DOWN 5"]


KINDS = ["RUNNING", "FAILED", "CANCELED", "FINISHED", "UNKNOWN", "RECONNECTING", "RESTARTING"]


@st.composite
def histories(draw: st.DrawFn) -> list[Look]:
    """Looks at a task whose runs are numbered upwards; one that has ended stays as it is."""
    looks: list[Look] = []
    instance, status = draw(st.sampled_from([None, 1])), "RUNNING"
    for _ in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 3)) == 0:
            instance, status = (instance or 0) + 1, draw(st.sampled_from(KINDS))
        elif instance is not None and status not in ("FAILED", "CANCELED", "FINISHED"):
            status = draw(st.sampled_from(KINDS))
        after = draw(st.sampled_from([1.0, 30.0, 59.0, 60.0, 300.0, 600.0]))
        looks.append((after, instance, None if instance is None else status))
    return looks


def through_json(memory: Memory | None) -> Memory | None:
    return memory and Memory.from_json(json.loads(json.dumps(memory.to_json())))


def run(
    looks: list[Look], keep: Callable[[Memory | None, list[Change]], Memory | None] = lambda memory, _: memory
) -> list[tuple[float, Change]]:
    watching = Watching()
    for look in looks:
        told = len(watching.told)
        watching.sees(*look)
        watching.memory = keep(watching.memory, [change for _, change in watching.told[told:]])
    return watching.told


@given(histories())
def test_nothing_is_told_twice(looks: list[Look]) -> None:
    told = run(looks)
    names = [change.name for _, change in told]
    assert len(set(names)) == len(names)
    # Between two of a kind of one run it was something else.
    for n, (_, change) in enumerate(told):
        later = [
            c
            for _, c in told[n + 1 :]
            if (c.kind, c.job_instance_id) == (change.kind, change.job_instance_id)
        ]
        assert all(c.since > change.since for c in later)


@given(histories())
def test_every_run_that_is_seen_to_fail_is_told(looks: list[Look]) -> None:
    failed = {instance for _, instance, status in looks if status == "FAILED"}
    told = [c.job_instance_id for _, c in run([*looks, looks[-1]]) if c.kind is EventKind.FAILED]
    assert sorted(told) == sorted(failed)


@given(histories())
def test_a_memory_that_was_stored_is_as_good(looks: list[Look]) -> None:
    assert run(looks, lambda memory, _: through_json(memory)) == run(looks)


@given(histories())
def test_what_was_told_and_not_kept_is_told_again_under_the_same_name(looks: list[Look]) -> None:
    """A triggerer that dies after each event, before it has kept that, and comes back with the next look."""
    watching = Watching()
    for look in looks:
        told = len(watching.told)
        watching.sees(*look)
        changes = [change for _, change in watching.told[told:]]
        assert watching.memory is not None
        before = through_json(watching.memory.before(changes))
        again = watching.rules.observe(before, seen(look[1], look[2]), watching.now)
        assert again == (watching.memory, changes)


@pytest.mark.parametrize(
    "stored",
    [
        *(None, 7, "FAILED", [], {}, {"job_instance_id": 5, "status": "FAILED"}),
        {"job_instance_id": 5, "status": None, "since": 1.0},
        {"job_instance_id": None, "status": "FAILED", "since": 1.0},
        {"job_instance_id": -5, "status": "FAILED", "since": 1.0},
        {"job_instance_id": "5", "status": "FAILED", "since": 1.0},
        {"job_instance_id": 5, "status": " ", "since": 1.0},
        {"job_instance_id": 5, "status": "FAILED", "since": float("nan")},
        {"job_instance_id": True, "status": "FAILED", "since": 1.0},
    ],
    ids=str,
)
def test_what_is_no_memory_is_none(stored: Any) -> None:
    assert Memory.from_json(stored) is None


def test_a_memory_of_another_version_is_read_as_far_as_it_goes() -> None:
    stored = {
        "v": 9,
        "job_instance_id": 5,
        "status": "HIBERNATING",
        "since": 1,
        "told": ["FAILED", "SLEEPY", 3, None],
        "more": 1,
    }
    assert Memory.from_json(stored) == Memory(5, UNLISTED, 1.0, (EventKind.FAILED,))
    assert Memory.from_json({**stored, "told": "FAILED", "broken": "yes"}) == Memory(5, UNLISTED, 1.0)
