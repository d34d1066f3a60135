# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker, as any order of questions, answers and failures may try it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_dinky.watcher.breaker import BAD_LUCK, FIRST_PAUSE, Breaker, backoff


class AnyOrder(RuleBasedStateMachine):
    """Workers ask when they may; each question is answered or fails, in any order."""

    longest = 10.0

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(random.Random(1))
        self.now = 0.0
        self.before_it_opened = 0
        self.probes = 0
        self.in_a_row = 0
        self.outage = 0

    @property
    def under_way(self) -> int:
        return self.before_it_opened + self.probes

    def may_ask(self) -> bool:
        return self.breaker.blocked_until() <= self.now

    @precondition(may_ask)
    @rule()
    def ask(self) -> None:
        if outage := self.breaker.asks():
            self.probes += 1
            self.outage = outage
        else:
            self.before_it_opened += 1

    def _answered(self) -> None:
        was_open = self.breaker.is_open
        assert self.breaker.answered() is was_open
        assert self.breaker.blocked_until() <= self.now
        self.before_it_opened, self.probes, self.in_a_row = self.under_way, 0, 0

    def _failed(self, under_way: int, *, probe: int) -> None:
        was_open = self.breaker.is_open
        self.in_a_row += 1
        pause = self.breaker.failed(self.now, self.longest, probe=probe)
        assert 0 < pause <= self.longest
        assert self.breaker.is_open is (was_open or self.in_a_row >= max(under_way, BAD_LUCK))
        if self.breaker.is_open and (probe or not was_open):
            assert self.breaker.blocked_until() > self.now

    @precondition(lambda self: self.before_it_opened)
    @rule(answered=st.booleans())
    def an_early_one_ends(self, answered: bool) -> None:
        under_way = self.under_way
        self.before_it_opened -= 1
        if answered:
            self._answered()
        else:
            self._failed(under_way, probe=0)

    @precondition(lambda self: self.probes)
    @rule(answered=st.booleans())
    def a_probe_ends(self, answered: bool) -> None:
        under_way = self.under_way
        self.probes -= 1
        if answered:
            self._answered()
        else:
            self._failed(under_way, probe=self.outage)

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def one_probe_at_a_time(self) -> None:
        assert self.probes <= 1

    @invariant()
    def a_closed_one_holds_nobody_back(self) -> None:
        if not self.breaker.is_open:
            assert self.may_ask()

    @invariant()
    def an_open_one_lets_somebody_ask_in_the_end(self) -> None:
        if self.breaker.is_open and not self.under_way:
            assert self.breaker.blocked_until() <= self.now + self.longest


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=30)


@given(st.integers(2, 16), st.lists(st.booleans(), max_size=200))
def test_bad_luck_among_answers_never_opens_it(under_way: int, failures: list[bool]) -> None:
    breaker = Breaker()
    for _ in range(under_way):
        breaker.asks()
    previous = False
    for failed in failures:
        # Never two failures in a row: that may be an outage where two are under way.
        if failed and not previous:
            breaker.failed(0.0, 10.0, probe=0)
        else:
            breaker.answered()
        previous = failed and not previous
        assert not breaker.is_open
        breaker.asks()


@pytest.mark.parametrize("under_way", [1, 2, BAD_LUCK, 16])
def test_an_outage_opens_it(under_way: int) -> None:
    breaker = Breaker()
    for _ in range(under_way):
        breaker.asks()
    failures = max(under_way, BAD_LUCK)
    for number in range(failures):
        assert number >= failures // 2 or not breaker.is_open
        if number >= under_way:
            breaker.asks()
        breaker.failed(100.0, 10.0, probe=0)

    assert breaker.is_open
    # The first pause is short, however many have failed at once.
    assert 100.0 < breaker.blocked_until() <= 100.0 + FIRST_PAUSE
    outage = breaker.asks()
    assert breaker.blocked_until() == math.inf
    breaker.failed(101.0, 10.0, probe=outage)
    assert 101.0 + FIRST_PAUSE / 2 < breaker.blocked_until() <= 101.0 + 2 * FIRST_PAUSE


@given(st.integers(1, 10_000), st.floats(0, 3600, allow_nan=False))
def test_backoff_is_bounded(failures: int, longest: float) -> None:
    pause = backoff(failures, longest)
    whole = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 16))

    assert whole / 2 <= pause <= whole


def test_backoff_has_jitter() -> None:
    chance = random.Random(1)
    assert len({backoff(5, 10.0, chance) for _ in range(20)}) == 20
