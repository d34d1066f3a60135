# SPDX-License-Identifier: Apache-2.0
"""What cannot be used is refused before anything is done, in one sentence that names it."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf, nan
from typing import Any

import pytest

from airflow_provider_dinky._compat import AirflowException
from airflow_provider_dinky.client.errors import DinkyConfigError
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.parameters import path_of, seconds, variables_of
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from airflow_provider_dinky.triggers.dinky import JobStatusTrigger

SECRET = "hunter22-secret"


@pytest.mark.parametrize("value", [0, -1, "10", None, True, nan, inf, -inf])
def test_seconds_are_a_number_that_one_can_wait_for(value: Any) -> None:
    with pytest.raises(ValueError, match="^pause must be a number of seconds above 0"):
        seconds("pause", value)


def test_seconds_may_be_a_timedelta() -> None:
    assert seconds("pause", timedelta(minutes=1)) == 60.0


@pytest.mark.parametrize("value", [-1, "10", None, 1.5, True])
def test_rows_to_keep_are_a_whole_number(value: Any) -> None:
    # A plain-SQL task would have run by the time that anybody noticed.
    with pytest.raises(ValueError, match="^result_limit must be a whole number of 0 or more"):
        SubmitTaskOperator(task_id="t", dinky_task_id=1, result_limit=value)


@pytest.mark.parametrize("value", [0, -1, "x", None])
def test_the_time_for_a_stop_is_checked_before_the_stop(value: Any) -> None:
    with pytest.raises(ValueError, match="^stop_timeout must be a number of seconds above 0"):
        RestartTaskOperator(task_id="t", dinky_task_id=1, stop_timeout=value)


@pytest.mark.parametrize("value", ["", "FINISHED", "finish"])
def test_what_is_waited_for_is_spelt_as_it_is(value: str) -> None:
    for make in (
        lambda: SubmitTaskOperator(task_id="t", dinky_task_id=1, wait_for=value),
        lambda: JobStatusSensor(task_id="t", job_instance_id=1, wait_for=value),
        lambda: JobStatusTrigger(1, wait_for=value),
    ):
        with pytest.raises(ValueError, match=f"wait_for must be one of .*, not '{value}'"):
            make()


@pytest.mark.parametrize("value", [0, -1])
def test_a_triggerer_does_not_look_all_the_time(value: float) -> None:
    with pytest.raises(ValueError, match="poll_interval must be"):
        JobStatusTrigger(1, poll_interval=value)
    # One below 0 is refused by Airflow itself, by some versions with an error of their own.
    with pytest.raises((ValueError, AirflowException), match="poke_interval.* must be"):
        JobStatusSensor(task_id="t", job_instance_id=1, poke_interval=value, deferrable=True)


@pytest.mark.parametrize("value", [None, "", " ", "None", "null"])
def test_no_path(value: str | None) -> None:
    assert path_of(value, "c1") is None


@pytest.mark.parametrize("value", [["s3://a"], {"path": "s3://a"}, 5, False, 0, []])
def test_a_path_is_one_text(value: Any) -> None:
    with pytest.raises(DinkyConfigError, match="'c1': savepoint_path must be one path, a text, not "):
        path_of(value, "c1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{'a': 1}", "must be a mapping of names to values, not str"),
        (["a"], "must be a mapping of names to values, not list"),
        ({1: "a"}, "must be a mapping of names to values, and the name 1 is no text"),
        ({"day": datetime(2026, 1, 1)}, "the value of variable 'day' is a datetime that JSON cannot hold"),
        ({"share": nan}, "the value of variable 'share' is a float that JSON cannot hold"),
        ({"who": {SECRET}}, "the value of variable 'who' is a set that JSON cannot hold; give it as a text"),
    ],
)
def test_variables_are_what_a_request_can_carry(value: Any, text: str) -> None:
    with pytest.raises(DinkyConfigError) as caught:
        variables_of(value, "c1")
    assert str(caught.value).startswith("connection 'c1': ")
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)


def test_variables_as_they_are() -> None:
    given = {"a": "1", "b": None, "c": [1, {"d": 2}]}
    assert variables_of(given, "c1") == given
    assert variables_of(None, "c1") is None
