# SPDX-License-Identifier: Apache-2.0
"""Why a job failed: whom the one definition asks, and where."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConnectionError
from airflow_provider_dinky.client.models import JobInfoDetail
from airflow_provider_dinky.failure import failure_steps

TRACE = "a.B: c"
BASE = "http://dinky:8888"
ANONYMOUS = DinkyConfig(BASE, name="d", allow_flink_rest=True)
SIGNED_IN = DinkyConfig(BASE, name="d", username="u", password="p")
BOTH = DinkyConfig(BASE, name="d", username="u", password="p", allow_flink_rest=True)


def detail(*, trace: str | None = None, address: str | None = "told:1") -> JobInfoDetail:
    return JobInfoDetail.model_validate(
        {
            "instance": {"id": 1, "jid": "told", "status": "FAILED"},
            "history": {"id": 2, "jobManagerAddress": address},
            "jobDataDto": {"exceptions": {"root-exception": trace}} if trace else None,
        }
    )


def run(steps: Any, *answers: Any) -> tuple[list[str], Any]:
    """What was asked, and the result."""
    asked, waiting = [], list(answers)
    try:
        call = next(steps)
        while True:
            asked.append(f"{call.base_url or ''}{call.path}")
            answer = waiting.pop(0)
            call = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as done:
        return asked, done.value


DETAIL, REFRESH = "/api/jobInstance/getJobInfoDetail", "/api/jobInstance/refreshJobInfoDetail"
IN_FLINK = {"root-exception": TRACE}


def test_dinky_is_asked_to_look_anew_only_if_it_does_not_know() -> None:
    assert run(failure_steps(SIGNED_IN, 1), detail(trace=TRACE)) == ([DETAIL], (TRACE, "told:1"))
    asked, result = run(failure_steps(SIGNED_IN, 1), detail(), detail(trace=TRACE))
    assert (asked, result) == ([DETAIL, REFRESH], (TRACE, "told:1"))


def test_flink_is_asked_only_where_that_is_allowed_and_its_place_is_known() -> None:
    assert run(failure_steps(SIGNED_IN, 1), detail(), detail()) == ([DETAIL, REFRESH], (None, "told:1"))
    assert run(failure_steps(ANONYMOUS, 1)) == ([], (None, None))
    assert run(failure_steps(ANONYMOUS, 1, "j", None)) == ([], (None, None))
    assert run(failure_steps(ANONYMOUS, 1, None, "jm:1")) == ([], (None, "jm:1"))
    asked, result = run(failure_steps(ANONYMOUS, 1, "j", "jm:1"), IN_FLINK)
    assert (asked, result) == (["http://jm:1/jobs/j/exceptions"], (TRACE, "jm:1"))


@pytest.mark.parametrize(
    ("told", "given", "else_at", "place"),
    [
        ("told:1", None, None, "told:1"),
        ("told:1", "given:1", None, "given:1"),
        ("told:1", None, "else:1", "told:1"),
        (None, None, "else:1", "else:1"),
    ],
)
def test_which_place_comes_first(
    told: str | None, given: str | None, else_at: str | None, place: str
) -> None:
    answers = (detail(address=told), detail(address=told), IN_FLINK)
    asked, result = run(failure_steps(BOTH, 1, None, given, else_at=else_at), *answers)
    assert asked[-1] == f"http://{place}/jobs/told/exceptions"
    assert result == (TRACE, place)


def test_what_was_found_before_an_error_is_kept_and_no_error_comes_out() -> None:
    away = DinkyConnectionError("away", sent=False)
    assert run(failure_steps(BOTH, 1), away) == ([DETAIL], (None, None))
    assert run(failure_steps(BOTH, 1), detail(), away) == ([DETAIL, REFRESH], (None, "told:1"))
    assert run(failure_steps(ANONYMOUS, 1, "j", "jm:1"), away)[1] == (None, "jm:1")
