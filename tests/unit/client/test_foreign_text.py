# SPDX-License-Identifier: Apache-2.0
"""Texts from outside can be stored in any database and sent as UTF-8, whatever they held."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client import calls, wire
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyRefusedError
from airflow_provider_dinky.client.flink import job_exceptions
from airflow_provider_dinky.client.foreign_text import LONGEST, clean, cleaned, may_be_unfit
from airflow_provider_dinky.client.wire import Reply

CONFIG = DinkyConfig("http://dinky:8888", name="c1", token="t1")
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff"), max_size=60)
BAD = "a\0b\ud83dc\udc00"
GOOD = "a\ufffdb\ufffdc\ufffd"


def is_fit(text: str) -> bool:
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


@given(ANY_TEXT, st.none() | st.integers(8, 80))
def test_any_text_is_made_fit_and_no_longer_than_allowed(text: str, limit: int | None) -> None:
    fit = clean(text, limit)
    assert is_fit(fit)
    assert limit is None or len(fit.encode()) <= limit
    assert clean(fit, limit) == fit
    if is_fit(text) and (limit is None or len(text.encode()) <= limit):
        assert fit == text


def test_what_is_wrong_is_replaced_and_pairs_are_joined() -> None:
    assert clean(BAD) == GOOD
    assert clean("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert clean("x" * 9_000, LONGEST).endswith("x …")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_json_is_made_fit_wherever_a_text_stands_in_it(data: Any, escaped: bool) -> None:
    written = json.dumps(data, ensure_ascii=escaped)
    fit = wire.Reply(200, written.encode("utf-8", "surrogatepass")).json
    assert is_fit(json.dumps(fit, ensure_ascii=False))
    if not may_be_unfit(written):
        assert cleaned(json.loads(written)) == json.loads(written)


def decoded(call: calls.ApiCall[Any], data: Any, code: int = 0) -> Any:
    body = data if call.bare else {"data": data, "code": code, "msg": BAD}
    return wire.decode(CONFIG, call, Reply(200, json.dumps(body).encode()))


def test_every_answer_of_dinky_and_flink_is_fit() -> None:
    instance = decoded(calls.get_job_instance(7), {"id": 7, "error": BAD, "name": BAD, "more": {BAD: [BAD]}})
    assert (instance.error, instance.name) == (GOOD, GOOD)
    assert instance.model_extra == {"more": {GOOD: [GOOD]}}
    assert decoded(job_exceptions("flink:8081", "a1"), {"root-exception": BAD}) == {"root-exception": GOOD}
    result = {"jobInstanceId": None, "success": True, "result": {"columns": [BAD], "rowData": [{BAD: BAD}]}}
    rows = decoded(calls.submit_task(7), result).rows(10)
    assert rows == {"columns": [GOOD], "rows": [{GOOD: GOOD}], "truncated": False}


@pytest.mark.parametrize(
    "data", [f"a.E: {BAD}\n\tat a.B.c(B.java:1)", {"success": False, "error": BAD}, None]
)
def test_every_error_is_fit_and_bounded(data: Any) -> None:
    with pytest.raises(DinkyRefusedError) as caught:
        decoded(calls.submit_task(7), data, 5)
    assert all(is_fit(text) for text in (str(caught.value), caught.value.reason, caught.value.trace or ""))
    assert GOOD in str(caught.value)


def test_a_message_of_megabytes_does_not_get_into_an_error_whole() -> None:
    body = json.dumps({"data": None, "code": 7, "msg": "x" * 3_000_000}).encode()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        wire.decode(CONFIG, calls.get_task(7), Reply(200, body))
    assert len(str(caught.value).encode()) <= LONGEST
