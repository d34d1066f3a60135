# SPDX-License-Identifier: Apache-2.0
"""What a try does about the jobs an earlier one may have started: the rule, case by case."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.intent import Intent, Step
from airflow_provider_dinky.job import (
    GRACE,
    Adopt,
    Decision,
    Fail,
    Fate,
    Follow,
    PastSubmit,
    Seen,
    Submit,
    Wait,
    resume,
    submit_of,
)

RUNNING, FINISHED = JobStatus.RUNNING, JobStatus.FINISHED
FAILED, CANCELED = JobStatus.FAILED, JobStatus.CANCELED
ACCEPTED, IN_FLIGHT, REFUSED = Fate.ACCEPTED, Fate.IN_FLIGHT, Fate.FAILED
SENT = Intent("key", Step.SUBMIT, sent_at=1000, patience=300, baseline=5, history_baseline=60)


def decide(now: float = 1010, **facts: Any) -> Decision:
    facts = {"stored": None, "history": None, "newest": None, "began": now, **facts}
    return resume(facts.pop("stored"), facts.pop("history"), facts.pop("newest"), now, **facts)


@pytest.mark.parametrize("status", [RUNNING, FINISHED, JobStatus.UNKNOWN, JobStatus("SOMETHING_NEW")])
def test_follows_the_job_that_was_written_down(status: JobStatus) -> None:
    assert decide(stored=SENT, known=Seen(6, status), newest=Seen(9, RUNNING)) == Follow(6)


@pytest.mark.parametrize("status", [FAILED, CANCELED])
def test_starts_anew_when_the_job_that_was_written_down_failed(status: JobStatus) -> None:
    assert decide(stored=SENT, known=Seen(6, status)) == Submit()


class TestSignedIn:
    @pytest.mark.parametrize("stored", [None, SENT], ids=["no note", "note"])
    def test_follows_the_job_with_our_mark(self, stored: Intent | None) -> None:
        past = [PastSubmit(70, ACCEPTED, Seen(6, RUNNING))]
        assert decide(stored=stored, history=past, newest=Seen(9, RUNNING)) == Follow(6)

    def test_where_dinky_gave_up_waiting_a_job_may_come_up(self) -> None:
        gave_up = [PastSubmit(70, Fate.GAVE_UP)]
        assert decide(stored=SENT, history=gave_up) == Wait(1300)
        assert decide(stored=SENT, history=gave_up, now=1300) == Submit()
        came_up = [PastSubmit(70, Fate.GAVE_UP, Seen(6, RUNNING))]
        assert decide(stored=SENT, history=came_up) == Follow(6)

    def test_does_not_run_a_finished_job_again(self) -> None:
        assert decide(history=[PastSubmit(70, ACCEPTED, Seen(6, FINISHED))]) == Follow(6)

    @pytest.mark.parametrize("status", [FAILED, CANCELED])
    def test_starts_anew_after_a_failed_job_but_not_in_the_same_try(self, status: JobStatus) -> None:
        past = [PastSubmit(70, ACCEPTED, Seen(6, status))]
        assert decide(history=past) == Submit()
        assert decide(stored=SENT, history=past, same_try=True) == Follow(6)

    def test_starts_anew_after_a_refused_submit(self) -> None:
        assert decide(stored=SENT, history=[PastSubmit(70, REFUSED)]) == Submit()

    @pytest.mark.parametrize("past", [PastSubmit(70, IN_FLIGHT), PastSubmit(70, ACCEPTED, None)])
    def test_waits_for_a_submit_on_its_way_and_never_sends_another(self, past: PastSubmit) -> None:
        assert decide(now=1299, stored=SENT, history=[past]) == Wait(1300)
        assert isinstance(decide(now=1300, stored=SENT, history=[past]), Fail)

    def test_no_row_yet_is_no_proof(self) -> None:
        assert decide(now=1299, stored=SENT, history=[], newest=Seen(6, RUNNING)) == Wait(1300)
        assert decide(now=1300, stored=SENT, history=[], newest=Seen(6, RUNNING)) == Submit()

    def test_a_retry_without_a_note_gives_the_row_time_to_show_up(self) -> None:
        assert decide(now=1000, began=1000, history=[], is_retry=True) == Wait(1000 + GRACE)
        assert decide(now=1000 + GRACE, began=1000, history=[], is_retry=True) == Submit()

    def test_a_first_try_sends_at_once(self) -> None:
        assert decide(history=[], newest=Seen(5, RUNNING)) == Submit()


class TestOlderSubmitsOfTheSameRun:
    """All tries of a run send the same mark."""

    @pytest.mark.parametrize(
        "old",
        [
            PastSubmit(60, REFUSED),
            PastSubmit(60, ACCEPTED, Seen(5, FAILED)),
            PastSubmit(60, ACCEPTED, Seen(5, FINISHED)),
            PastSubmit(60, IN_FLIGHT),
        ],
    )
    @pytest.mark.parametrize("same_try", [False, True])
    def test_say_nothing_of_the_one_under_way(self, old: PastSubmit, same_try: bool) -> None:
        facts = {"stored": SENT, "history": [old], "newest": Seen(5, FAILED), "same_try": same_try}
        assert decide(now=1299, **facts) == Wait(1300)
        assert decide(now=1300, **facts) == Submit()

    @pytest.mark.parametrize("old", [PastSubmit(60, REFUSED), PastSubmit(60, ACCEPTED, Seen(5, FAILED))])
    def test_nor_where_an_earlier_version_wrote_the_entry(self, old: PastSubmit) -> None:
        stored = Intent("key", Step.SUBMIT, sent_at=1000, patience=300, baseline=5)
        assert decide(now=1299, stored=stored, history=[old]) == Wait(1300)
        assert decide(now=1300, stored=stored, history=[old]) == Submit()
        ours = PastSubmit(61, ACCEPTED, Seen(6, RUNNING))
        assert decide(now=1299, stored=stored, history=[ours, old]) == Follow(6)

    @pytest.mark.parametrize("old", [PastSubmit(60, REFUSED), PastSubmit(60, ACCEPTED, Seen(5, FAILED))])
    def test_nor_where_nothing_is_kept_until_its_row_had_time_to_show_up(self, old: PastSubmit) -> None:
        assert decide(now=1000, history=[old], is_retry=True) == Wait(1000 + GRACE)
        assert decide(now=1000 + GRACE, began=1000, history=[old], is_retry=True) == Submit()


class TestHistoryThatIsTooLongToBeReadToItsEnd:
    def test_is_left_to_a_person_if_there_may_have_been_a_submit(self) -> None:
        assert decide(now=1299, stored=SENT, history=[], is_complete=False) == Wait(1300)
        assert isinstance(decide(now=1300, stored=SENT, history=[], is_complete=False), Fail)

    def test_does_not_matter_if_there_was_none_or_ours_was_found(self) -> None:
        assert decide(history=[], is_complete=False) == Submit()
        assert decide(now=1029, began=1000, history=[], is_retry=True, is_complete=False) == Wait(1030)
        assert decide(now=1030, began=1000, history=[], is_retry=True, is_complete=False) == Submit()
        assert decide(stored=SENT.then(Step.REFUSED), history=[], is_complete=False) == Submit()
        found = [PastSubmit(70, ACCEPTED, Seen(6, RUNNING))]
        assert decide(history=found, is_retry=True, is_complete=False) == Follow(6)


class TestAnonymous:
    def test_adopts_a_newer_job(self) -> None:
        assert decide(stored=SENT, newest=Seen(6, RUNNING)) == Adopt(6)

    def test_waits_while_one_may_be_on_its_way(self) -> None:
        assert decide(now=1299, stored=SENT, newest=Seen(5, RUNNING)) == Wait(1300)
        assert decide(now=1299, stored=SENT, newest=None) == Wait(1300)
        assert decide(now=1300, stored=SENT, newest=Seen(5, RUNNING)) == Submit()

    def test_a_refused_submit_needs_no_wait(self) -> None:
        assert decide(stored=SENT.then(Step.REFUSED), newest=Seen(5, FINISHED)) == Submit()

    def test_a_retry_without_a_note_takes_the_running_job_for_its_own(self) -> None:
        assert decide(newest=Seen(5, RUNNING), is_retry=True) == Adopt(5)
        assert decide(newest=Seen(5, FINISHED), is_retry=True) == Submit()
        assert decide(newest=Seen(5, RUNNING), is_retry=False) == Submit()

    def test_or_not_if_it_is_not_to_guess(self) -> None:
        assert decide(newest=Seen(5, RUNNING), is_retry=True, guess=False) == Submit()
        assert decide(stored=SENT, newest=Seen(6, RUNNING), is_retry=True, guess=False) == Adopt(6)


statuses = st.sampled_from([*JobStatus, JobStatus("SOMETHING_NEW")])
seen = st.none() | st.builds(Seen, st.integers(1, 9), statuses)
intents = st.none() | st.builds(
    Intent,
    st.just("key"),
    st.sampled_from(Step),
    sent_at=st.floats(0, 2000),
    patience=st.floats(1, 600),
    baseline=st.integers(0, 9),
    history_baseline=st.none() | st.integers(0, 9),
)
histories = st.none() | st.lists(
    st.builds(PastSubmit, st.integers(1, 9), st.sampled_from(Fate), seen), max_size=2
)


@given(
    intents,
    histories,
    seen,
    st.floats(0, 4000),
    seen,
    st.fixed_dictionaries({name: st.booleans() for name in ("is_retry", "same_try", "is_complete", "guess")}),
)
def test_is_total_and_never_sends_while_a_submit_may_be_under_way(
    stored: Intent | None,
    history: list[PastSubmit] | None,
    newest: Seen | None,
    now: float,
    known: Seen | None,
    flags: dict[str, bool],
) -> None:
    decision = resume(stored, history, newest, now, known=known, began=now, **flags)

    submit = submit_of(stored, history)
    assert isinstance(decision, (Follow, Adopt, Wait, Submit, Fail))
    if isinstance(decision, Wait):
        assert decision.until > now
    if isinstance(decision, Adopt):
        assert history is None, "an inference where Dinky's history could prove it"
    if submit is not None and submit.fate is IN_FLIGHT and known is None and not _refused(stored):
        assert isinstance(decision, (Wait, Fail))
    if stored is not None and now < stored.settled_at and isinstance(decision, Submit):
        ended = [known, submit.job if submit else None, newest if history is None else None]
        assert (
            _refused(stored)
            or (submit is not None and submit.fate is REFUSED)
            or any(job is not None and job.has_failed for job in ended)
        )


def _refused(stored: Intent | None) -> bool:
    return stored is not None and stored.step is Step.REFUSED
