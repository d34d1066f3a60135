# SPDX-License-Identifier: Apache-2.0
"""A line a change, a line now and then, and a line for each end of an outage."""

from __future__ import annotations

from airflow_provider_dinky.log_lines import HEARTBEAT, SILENCE_WORTH_A_WORD, Talk


def test_a_change_is_said_at_once_and_puts_off_the_next_heartbeat() -> None:
    talk = Talk(said=0, answered=0)
    assert talk.hears("changed", "still", 1) == ["changed"]
    assert talk.hears(None, "still", HEARTBEAT) == []
    assert talk.hears(None, "still", 1 + HEARTBEAT) == ["still"]
    assert talk.hears(None, "still", 2 + HEARTBEAT) == []


def test_an_outage_is_said_once_and_so_is_its_end() -> None:
    talk = Talk(said=0, answered=0)
    assert talk.hears_nothing("502", SILENCE_WORTH_A_WORD - 1) == []
    assert talk.hears_nothing("502", SILENCE_WORTH_A_WORD) == ["No answer for 60 s, trying on: 502"]
    assert talk.hears_nothing("502", 10_000) == []
    assert talk.hears(None, "still", 10_001) == ["Dinky answers again"]
    assert talk.hears("changed", "still", 10_002) == ["changed"]


def test_a_short_outage_is_not_worth_a_word() -> None:
    talk = Talk(said=0, answered=0)
    talk.hears_nothing("502", 10)
    assert talk.hears(None, "still", 20) == []
    assert talk.hears_nothing("502", 20 + SILENCE_WORTH_A_WORD - 1) == []
