# SPDX-License-Identifier: Apache-2.0
"""When a job is healthy, and the sentence for each check that it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.flink_view import Checkpoint, FlinkView
from airflow_provider_dinky.health import Limits, examine

NOW = 10_000_000


def view(*ages: float, failures: tuple[float, ...] | None = (), **fields: Any) -> FlinkView:
    """A view of a job whose checkpoints and failures were so many seconds ago."""
    values: dict[str, Any] = {
        "job_id": "a1",
        "state": "RUNNING",
        "now": NOW,
        "checkpoints": tuple(
            Checkpoint(None, False, NOW - round(age * 1000), False, number)
            for number, age in sorted(enumerate(ages), reverse=True)
        ),
        "restored_from": None,
        "checkpointing": True,
        "retention": None,
        "failures": None if failures is None else tuple(NOW - round(age * 1000) for age in failures),
        "failures_truncated": False,
        "source": "Flink",
        **fields,
    }
    return FlinkView(**values)


def said(
    limits: Limits, flink: FlinkView | None, status: JobStatus | None = JobStatus.RUNNING, **more: Any
) -> tuple[bool, str]:
    """The last finding."""
    finding = examine(status, flink, limits, **more)[-1]
    return finding.ok, finding.sentence


@pytest.mark.parametrize("status", list(JobStatus))
def test_only_a_running_job_is_healthy(status: JobStatus) -> None:
    (finding,) = examine(status, None, Limits())
    assert finding.ok is (status is JobStatus.RUNNING)
    assert f"It is {status}" in finding.sentence


def test_no_job() -> None:
    assert said(Limits(60, 3), None, None) == (False, "There is no job")


def test_what_flink_says_counts_more() -> None:
    assert said(Limits(), view(state="RESTARTING")) == (False, "It is RESTARTING, not RUNNING")
    assert said(Limits(), view(), JobStatus.INITIALIZING) == (True, "It is RUNNING")


def test_of_an_ended_job_nothing_else_is_said() -> None:
    assert len(examine(JobStatus.FAILED, None, Limits(60, 3))) == 1
    assert len(examine(JobStatus.RUNNING, view(state="FAILED"), Limits(60, 3))) == 1


class TestCheckpoints:
    @given(st.lists(st.floats(0, 1000), min_size=1, max_size=4), st.floats(1, 1000))
    def test_age(self, ages: list[float], allowed: float) -> None:
        ok, sentence = said(Limits(max_checkpoint_age=allowed), view(*ages))
        assert ok is (round(min(ages) * 1000) / 1000 <= allowed)
        assert "longer than" not in sentence if ok else "longer than" in sentence

    def test_sentences(self) -> None:
        assert said(Limits(60), view(12, 40)) == (True, "Its last checkpoint was complete 12 s ago")
        assert said(Limits(60), view(95)) == (
            False,
            "Its last checkpoint was complete 95 s ago, longer than the 60 s allowed",
        )
        assert "62 min ago, longer than the 45 min" in said(Limits(2700), view(3700))[1]
        assert "2.5 h ago" in said(Limits(2700), view(9000))[1]

    def test_none(self) -> None:
        assert said(Limits(60), view()) == (False, "It has completed no checkpoint yet")
        assert said(Limits(60), view(checkpointing=False)) == (
            False,
            "It takes no checkpoints: checkpointing is off",
        )

    def test_a_savepoint_is_none(self) -> None:
        savepoint = Checkpoint("s3://s", True, NOW, False, 1)
        assert said(Limits(60), view(checkpoints=(savepoint,)))[0] is False

    def test_clocks_of_flink_that_disagree(self) -> None:
        assert said(Limits(60), view(-5)) == (True, "Its last checkpoint was complete 0 s ago")


class TestRestarts:
    @given(st.lists(st.floats(0, 7200), max_size=8), st.integers(0, 8), st.floats(1, 7200))
    def test_count(self, ago: list[float], allowed: int, within: float) -> None:
        count = sum(round(age * 1000) <= within * 1000 for age in ago)
        limits = Limits(max_restarts=allowed, restarts_within=within)
        ok, sentence = said(limits, view(failures=tuple(ago)))
        assert ok is (count <= allowed)
        assert f"It failed {count} time" in sentence

    def test_sentences(self) -> None:
        limits = Limits(max_restarts=1)
        assert said(limits, view(failures=(5, 4000))) == (True, "It failed 1 time within the last 60 min")
        assert said(limits, view(failures=(5, 10))) == (
            False,
            "It failed 2 times within the last 60 min, more than the 1 allowed",
        )

    def test_a_list_that_is_cut_off(self) -> None:
        many = view(failures=(1, 2), failures_truncated=True)
        assert said(Limits(max_restarts=1), many)[1].startswith("It failed at least 2 times")
        assert said(Limits(max_restarts=5), many) == (
            False,
            "It failed at least 2 times within the last 60 min, and Flink lists no more: whether it kept to 5 is "
            "not known",
        )
        # But the rest is older than the oldest that is listed.
        assert said(Limits(max_restarts=5), view(failures=(1, 4000), failures_truncated=True))[0] is True

    def test_of_a_flink_that_does_not_tell(self) -> None:
        ok, sentence = said(Limits(max_restarts=1), view(failures=None))
        assert (ok, sentence) == (False, "Its restarts cannot be seen: Flink does not tell its failures")


@pytest.mark.parametrize("limits", [Limits(max_checkpoint_age=60), Limits(max_restarts=3)])
class TestNotSeen:
    def test_why(self, limits: Limits) -> None:
        findings = examine(JobStatus.RUNNING, None, limits, unseen="no route")
        assert [finding.ok for finding in findings] == [False, False]
        assert findings[0].sentence == "Whether it runs is not known: no route"
        assert findings[1].sentence.endswith("cannot be seen: no route")

    def test_what_was_seen_before_proves_nothing(self, limits: Limits) -> None:
        # Its time stands still as well, so that its last checkpoint would look young for ever.
        old = view(5, state=None, now=None, problem="Dinky cannot reach Flink")
        findings = examine(JobStatus.RUNNING, old, limits)
        assert [finding.ok for finding in findings] == [False, False]
        assert all("Dinky cannot reach Flink" in finding.sentence for finding in findings)

    def test_a_flink_without_a_time(self, limits: Limits) -> None:
        assert said(limits, view(5, now=None))[0] is False
