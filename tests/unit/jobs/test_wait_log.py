# SPDX-License-Identifier: Apache-2.0
"""A line a change, a line now and then, and a line for each end of an outage."""

from __future__ import annotations

import json
from functools import partial

from airflow_provider_dinky.jobs.wait_log import HEARTBEAT, SILENCE_WORTH_A_WORD, WaitLog, state_line


def changed(name: str) -> str:
    return f"{name} has changed"


still = partial(state_line, status="RUNNING")


def test_a_change_is_said_at_once_and_puts_off_the_next_heartbeat() -> None:
    log = WaitLog(0)
    log.news(changed, 1)
    assert log.take("it") == ["it has changed"]
    log.unchanged(still, HEARTBEAT)
    assert log.take("it") == []
    log.unchanged(still, 1 + HEARTBEAT)
    assert log.take("it") == ["State of it: RUNNING"]
    log.unchanged(still, 2 + HEARTBEAT)
    assert log.take("it") == []


def test_an_outage_is_said_once_and_so_is_its_end() -> None:
    log = WaitLog(0)
    log.no_answer(SILENCE_WORTH_A_WORD - 1, "502", 59)
    assert not log.is_due
    log.no_answer(SILENCE_WORTH_A_WORD, "502", 60)
    log.no_answer(10_000, "502", 10_000)
    assert log.take("it") == ["No answer for 60 s, trying on: 502"]
    log.answered(10_001)
    log.answered(10_002)
    assert log.take("it") == ["Dinky answers again"]


def test_what_was_said_is_known_to_the_next_process() -> None:
    log = WaitLog(0)
    log.no_answer(SILENCE_WORTH_A_WORD, "502", 60)
    log.take("it")
    later = WaitLog.from_json(json.loads(json.dumps(log.to_json())))
    later.no_answer(120, "502", 120)
    assert later.take("it") == []
    later.answered(130)
    assert later.take("it") == ["Dinky answers again"]
