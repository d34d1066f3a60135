# SPDX-License-Identifier: Apache-2.0
"""Each row is of what was asked for, or is left out; one answer about something else is none."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_dinky.client import calls, flink, wire
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyResponseError
from airflow_provider_dinky.client.models import HistoryEntry
from airflow_provider_dinky.client.wire import Reply

CONFIG = DinkyConfig("http://dinky:8888", name="c1", token="t1")


def decoded(call: ApiCall[Any], data: Any) -> Any:
    body = data if call.base_url else {"data": data} if call.bare else {"data": data, "code": 0, "msg": ""}
    return wire.decode(CONFIG, call, Reply(200, json.dumps(body).encode()))


def row(number: int, task: int | None, **fields: Any) -> dict[str, Any]:
    return {"id": number, "taskId": task, "status": None, "path": f"s3://{number}", **fields}


LISTS: list[Any] = [
    pytest.param(calls.list_savepoints(3), id="savepoints"),
    pytest.param(calls.list_history(3), id="submits"),
    pytest.param(calls.list_job_instances_of_task(3), id="job instances"),
]


@pytest.mark.parametrize("call", LISTS)
def test_rows_of_another_task_are_left_out_with_one_line(
    call: ApiCall[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = decoded(call, [row(7, 3), row(9, 4), row(8, None), row(10, 5)])
    assert [one.id for one in found] == [8, 7]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "was asked for Dinky task 3, and 2 of its rows are of something else and left out" in line
    assert "9 of Dinky task 4" in line


@pytest.mark.parametrize("call", LISTS)
def test_rows_of_the_task_are_all_kept_in_silence(
    call: ApiCall[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert [one.id for one in decoded(call, [row(7, 3), row(8, 3)])] == [8, 7]
    assert not caplog.records


def test_job_instances_that_were_not_asked_for_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(decoded(calls.list_job_instances([7, 8]), [row(7, 3), row(9, 3)])) == [7]
    assert "1 of its rows are of something else and left out, such as job instance 9" in caplog.text


def test_a_list_of_all_tasks_holds_all_tasks(caplog: pytest.LogCaptureFixture) -> None:
    assert len(decoded(calls.list_latest_job_instances(10), [row(7, 3), row(8, 4)])) == 2
    assert not caplog.records


@pytest.mark.parametrize(
    ("call", "data"),
    [
        (calls.get_job_instance(7), row(8, 3)),
        (calls.get_latest_job_instance(3), row(8, 4)),
        (calls.get_job_info_detail(7), {"instance": row(8, 3)}),
        (calls.refresh_job_info_detail(7), {"instance": row(8, 3)}),
        (calls.get_task(3), {"id": 4}),
        (flink.job_details("flink:8081", "a1"), {"jid": "b2", "state": "RUNNING"}),
    ],
    ids=lambda value: getattr(value, "what", ""),
)
def test_an_answer_about_something_else_is_none(call: ApiCall[Any], data: Any) -> None:
    with pytest.raises(DinkyResponseError, match="unexpected shape"):
        decoded(call, data)


SETTINGS = {"savePointPath": "s3://a", "variables": {"rows": 5, "airflow_run_key": "dag/run/task/-1/0"}}


@pytest.mark.parametrize("written", [SETTINGS, json.dumps(SETTINGS)], ids=["object", "text"])
def test_settings_may_be_a_text(written: Any) -> None:
    (entry,) = decoded(calls.list_history(3), [row(7, 3, configJson=written)])
    assert entry.run_key == "dag/run/task/-1/0"
    assert entry.variables == {"rows": 5}
    assert entry.savepoint_path == "s3://a"


@pytest.mark.parametrize(
    "odd",
    [
        "{",
        "no JSON",
        "[]",
        "5",
        [],
        7,
        True,
        {"savePointPath": [1]},
        {"variables": "x"},
        {"savePointPath": 5},
    ],
)
def test_settings_that_cannot_be_read_say_nothing(odd: Any) -> None:
    entry = HistoryEntry.model_validate(row(7, 3, configJson=odd, status=["odd"]))
    assert (entry.run_key, entry.variables, entry.savepoint_path, entry.status) == (None, {}, None, None)
