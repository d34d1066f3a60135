# SPDX-License-Identifier: Apache-2.0
"""The same for signing in on the 1.2 line, for tasks as data and for lineage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import (
    DinkyNotFoundError,
    DinkyRefusedError,
    DinkyResponseError,
    DinkySignInError,
)
from airflow_provider_dinky.client.flink import job_exceptions
from airflow_provider_dinky.client.java import root_cause
from airflow_provider_dinky.client.models import failure_trace
from airflow_provider_dinky.client.status import JobStatus
from tests.clients import AnyClient
from tests.contract.reading import (
    BY_PASSWORD,
    Reading,
    bare_by_hand,
    by_hand,
    check,
    gives,
    refused,
    started,
    status_of,
)
from tests.contract.recorded import Exchange, exchanges

UNKNOWN_TASK = "Dinky says: Task Not Exist"
NO_ROUTE = "java.lang.IllegalArgumentException: protocol = http host = null"
FAILING_JOB = "00190a30a736a0d999f4a87e82a0c46e"
NO_FILTER = "JdbcSQLSyntaxErrorException: Column"
ONLINE = "Dinky says: Task is online, modification is prohibited"


def not_signed_in(says: str, **config: Any) -> Reading:
    return refused(
        calls.get_token_info() if config else status_of,
        says,
        None,
        error=DinkySignInError,
        config=BY_PASSWORD | config if config else None,
    )


# Nothing but what our clients ask has a call; the rest is repeated by hand, so that answers are at least read.
READINGS: Mapping[str, Mapping[str, Reading]] = {
    "signed-in-1.2.0-dev": {
        "login_ok": gives(calls.get_token_info(), config=BY_PASSWORD),
        "login_wrong_password": not_signed_in("UserName Or Password Not Correct", password="nope"),
        "login_unknown_user": not_signed_in("User Not Exist", username="nobody", password="nope"),
        "choose_tenant": gives(calls.get_token_info(), config=BY_PASSWORD),
        "choose_tenant_unknown": not_signed_in("the user is not in tenant 99", tenant_id=99),
        "token_info": gives(calls.get_token_info()),
        "bad_token_cookie": not_signed_in("Can Not Read Token"),
        "bad_token_header": not_signed_in("Can Not Read Token"),
        "token_header_only": not_signed_in("Can Not Read Token"),
        "build_token": gives(by_hand),
        "task_submit": gives(
            lambda recorded: replace(by_hand(recorded), parse=calls.submit_task(2).parse),
            **started(37, "24bd3e4f88e54ecd58efcc71340061c3"),
        ),
        "submit_bounded": gives(calls.submit_task(3), **started(38, "05a2ac224bd3bfc947d493f681d3c3b5")),
        "submit_failing": gives(calls.submit_task(4), **started(39, FAILING_JOB)),
        "list_instances_latest_per_task": gives(
            calls.list_latest_job_instances(100), **{"0.id": 39, "0.status": JobStatus.FAILED, "2.id": 37}
        ),
        "list_instances_all": gives(
            lambda recorded: replace(calls.list_latest_job_instances(2), json=recorded.json), **{"0.id": 39}
        ),
        "list_instances_by_ids_ignored": gives(bare_by_hand),
        "list_instances_by_task": gives(
            calls.list_job_instances_of_task(2, limit=5), but={"sorter": {"id": "descend"}}, **{"0.id": 28}
        ),
        "failed_detail": gives(
            calls.get_job_info_detail(39),
            **{"instance.status": JobStatus.FAILED, "history.id": 45, "job_data.error": False},
        ),
        "refresh_running": gives(
            calls.refresh_job_info_detail(37),
            **{"instance.status": JobStatus.RUNNING, "failure_trace": None, "instance.finish_time": None},
        ),
        "task_by_id": gives(calls.get_task(2), name="stream_orders", job_instance_id=37, cluster_id=1),
        "task_savepoint": refused(calls.trigger_savepoint(2, via_api=True), NO_ROUTE, 5),
        "savepoints_of_task": gives(bare_by_hand),
        "savepoints_list_by_task": gives(calls.list_savepoints(2)),
        "task_restart": refused(calls.restart_task(2, via_api=True), NO_ROUTE, 5, but={"isOnLine": None}),
        "task_cancel": gives(calls.cancel_task(2, via_api=True)),
        "cluster_instances": gives(by_hand),
        "flink_job_failed": gives(bare_by_hand),
        "flink_exceptions": gives(
            lambda recorded: replace(job_exceptions("jm:8081", FAILING_JOB), base_url=None)
        ),
        "flink_jobs_overview": gives(bare_by_hand),
        "flink_checkpoints": gives(bare_by_hand),
        "flink_unknown_job": refused(
            bare_by_hand, "NotFoundException: Job 0000", None, error=DinkyResponseError
        ),
        "flink_via_dinky_proxy": gives(bare_by_hand),
        "logout": gives(by_hand),
        "after_logout": not_signed_in("Invalid Token"),
    },
    "tasks-1.1.0": {
        "create_folder": gives(by_hand),
        "tree": gives(by_hand),
        "create_sub_folder": gives(by_hand),
        "create_task": gives(by_hand),
        "create_task_again": refused(by_hand, "Dinky says: Task is existed"),
        "find_by_name": refused(by_hand, NO_FILTER, 5),
        "find_by_part_of_name": refused(by_hand, NO_FILTER, 5),
        "find_none": refused(by_hand, NO_FILTER, 5),
        "list_tasks": gives(bare_by_hand),
        "find_through_path": refused(by_hand, "HTTP 404", None, error=DinkyResponseError),
        "query_all_catalogue": gives(by_hand),
        "tree_with_task": gives(by_hand),
        "read_task": gives(calls.get_task(14), job_instance_id=None, cluster_id=None),
        "save_task": gives(by_hand),
        "save_only_statement": refused(by_hand, "Field: name, Name cannot be null", 6),
        "save_minimal": gives(by_hand),
        "read_after_minimal": gives(calls.get_task(14), cluster_id=1),
        "explain_changed": gives(by_hand),
        "versions_none": gives(by_hand),
        "publish": gives(by_hand),
        "versions_one": gives(by_hand),
        "save_published": refused(by_hand, ONLINE),
        "unpublish": gives(by_hand),
        "save_v4": gives(by_hand),
        "publish_v4": gives(by_hand),
        "versions_two": gives(by_hand),
        "publish_again": gives(by_hand),
        "versions_after_publish_again": gives(by_hand),
        "roll_back_published": refused(by_hand, "ConvertException: Unsupported source type", 5),
        "read_rolled_back": gives(calls.get_task(14)),
        "roll_back_unknown": refused(by_hand, 'because "taskVersion" is null', 5),
        "publish_unknown_task": refused(by_hand, UNKNOWN_TASK, error=DinkyNotFoundError),
        "submit_it": gives(
            lambda recorded: replace(calls.submit_task(14), json=recorded.json),
            **started(67, "9815890c542a0bb72d26aef8bc7d0e9a"),
        ),
        "save_while_job_runs": refused(by_hand, ONLINE),
        "metrics_items": gives(by_hand),
        "tree_again": gives(by_hand),
        "delete_while_job_runs": refused(by_hand, "Dinky says: Folder Not Empty, Can Not Delete"),
        "cancel_it": gives(calls.cancel_task(14, via_api=True)),
        "read_unknown_task": refused(calls.get_task(99999), UNKNOWN_TASK, error=DinkyNotFoundError),
        "save_unknown_task": gives(by_hand),
    },
    "lineage-1.1.0": {
        "openapi_task_lineage": gives(calls.get_task_lineage(97)),
        "openapi_task_lineage_unknown": refused(
            calls.get_task_lineage(98765), UNKNOWN_TASK, error=DinkyNotFoundError
        ),
        "submit": gives(
            lambda recorded: replace(calls.submit_task(97), json=recorded.json), **{"success": True}
        ),
        "instance_lineage": gives(by_hand),
        "instance_lineage_unknown": refused(by_hand, "Job Instance Not Exist", error=DinkyNotFoundError),
        "instance_lineage_anonymous": not_signed_in("Can Not Read Token"),
        "studio_lineage": gives(by_hand),
        "studio_lineage_bad_sql": gives(by_hand),
        "studio_lineage_no_insert": gives(by_hand),
        "studio_lineage_anonymous": not_signed_in("Can Not Read Token"),
    },
}
EXCHANGES = [recorded for recorded in exchanges() if recorded.source in READINGS]


@pytest.mark.parametrize("recorded", EXCHANGES, ids=lambda recorded: recorded.label)
def test_exchange(recorded: Exchange, connect: Callable[..., AnyClient]) -> None:
    check(recorded, READINGS[recorded.source][recorded.name], connect)


@pytest.mark.parametrize("source", READINGS)
def test_every_recorded_exchange_has_its_reading(source: str) -> None:
    recorded = {one.name for one in EXCHANGES if one.source == source and not one.full}
    assert recorded == set(READINGS[source])


def test_the_reason_of_a_failed_job_is_read_from_an_archive_too() -> None:
    """A Dinky 1.2 leaves the root exception empty; the history has it."""
    (detail,) = [one for one in EXCHANGES if one.name == "failed_detail" and not one.full]
    exceptions = detail.body["data"]["jobDataDto"]["exceptions"]
    assert exceptions["root-exception"] == ""
    assert root_cause(failure_trace(exceptions)).startswith("java.lang.NumberFormatException")  # type: ignore[union-attr,arg-type]


def test_a_savepoint_that_fails_inside_dinky_is_a_refusal() -> None:
    """Not an answer that is open: nothing was sent to Flink."""
    assert READINGS["signed-in-1.2.0-dev"]["task_savepoint"].error is DinkyRefusedError
