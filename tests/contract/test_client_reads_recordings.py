# SPDX-License-Identifier: Apache-2.0
"""Every exchange recorded from a real Dinky, replayed word for word through both clients.

Three things are checked of each: the request that our call sends is the one that the real server was sent, the
answer is read to the result (or error) it stands for, and nothing of the recorded data is lost on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.calls import Answer, ApiCall
from airflow_provider_dinky.client.errors import (
    DinkyNotFoundError,
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
    FLAGS,
    Reading,
    bare_by_hand,
    by_hand,
    check,
    gives,
    refused,
    run,
    started,
    status_of,
)
from tests.contract.recorded import Exchange, exchanges

# The later ones have their readings elsewhere.
SOURCES = ("common-sql-1.1.0", "openapi-1.1.0", "run-key-and-sign-in-1.1.0", "signed-in-1.1.0")


def read_exchanges(*, full: bool = True) -> list[Exchange]:
    return [recorded for recorded in exchanges(full=full) if recorded.source in SOURCES]


TRIMMED = {recorded.name: recorded for recorded in read_exchanges(full=False)}


def explain(recorded: Exchange) -> ApiCall[Any]:
    return calls.explain_sql(recorded.json)


def plan(recorded: Exchange) -> ApiCall[Any]:
    return calls.get_job_plan(recorded.json)


def _all_instances(recorded: Exchange) -> ApiCall[Any]:
    return replace(calls.list_latest_job_instances(2), json=recorded.json)


def _savepoint_page(recorded: Exchange) -> ApiCall[Any]:
    return replace(
        calls.list_savepoints(1), method="POST", path=recorded.path, params=None, json=recorded.json
    )


SUBMIT, RESTART, SAVEPOINT = calls.submit_task, calls.restart_task, calls.trigger_savepoint
BY_TASK, INSTANCE, CANCEL = calls.get_latest_job_instance, calls.get_job_instance, calls.cancel_task

CALCITE = "org.apache.calcite.runtime.CalciteException: Non-query expression encountered in illegal context"
NO_FILE = "Cannot find checkpoint or savepoint file/directory '/no/such/savepoint' on file system 'file'."
NO_RELATION = 'PSQLException: ERROR: relation "does_not_exist" does not exist\n  Position: 15'
NO_VARIABLE = 'The variable name or jexl key of sql "${rows}" does not exist.'
NOT_A_NUMBER = "java.lang.NumberFormatException: For input string"
UNKNOWN_TASK = "Dinky says: Task Not Exist. Check the task's id, and that the task is in tenant 1"
NEVER_RAN = "Dinky says: Job Instance Not Exist. The job instance is unknown, or the task never ran"
SAVED = "file:/flink/savepoints/savepoint-"


def rows(*values: Mapping[str, Any]) -> dict[str, Any]:
    return {"job_instance_id": None, "is_plain_sql": True, "success": True, "result.row_data": values}


READINGS: Mapping[str, Reading] = {
    # Plain SQL
    "submit_common_sql_pg_ok": gives(SUBMIT(33), **rows({"one": "1", "s": "x"})),
    "submit_common_sql_pg_insert": gives(SUBMIT(34), **rows({"status": 1}, {"status": 2})),
    "submit_common_sql_pg_bad": refused(SUBMIT(35), NO_RELATION),
    "by_task_common_sql": gives(BY_TASK(33)),
    "restart_common_sql": gives(RESTART(33), **rows({"one": "1", "s": "x"})),
    "cancel_common_sql": gives(CANCEL(33), but=FLAGS),
    "savepoint_common_sql": refused(SAVEPOINT(33), NEVER_RAN, error=DinkyNotFoundError),
    # The envelope says that this went well.
    "restart_common_sql_bad": refused(RESTART(35), NO_RELATION, code=0),
    # Submits
    "version": gives(calls.version()),
    "submit_ok_bounded": gives(SUBMIT(3), **started(2, "a8678a892f28f9a400527f8da8a59b84")),
    "submit_unknown_task": refused(SUBMIT(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    "submit_null_id": refused(by_hand, UNKNOWN_TASK, error=DinkyNotFoundError),
    "submit_text_id": refused(by_hand, "Cannot deserialize value of type `java.lang.Integer`", 5),
    "submit_numeric_string_id": refused(by_hand, UNKNOWN_TASK, error=DinkyNotFoundError),
    "submit_malformed_json": refused(by_hand, "Unexpected character ('i' (code 105))", 5),
    "submit_form_encoded": refused(
        by_hand, "'application/x-www-form-urlencoded;charset=UTF-8' not supported", 5
    ),
    "submit_unknown_field": refused(by_hand, UNKNOWN_TASK, error=DinkyNotFoundError),
    "submit_by_get": refused(by_hand, "Request method 'GET' not supported", 5),
    "unknown_endpoint": refused(
        by_hand, "HTTP 404: the address is not a Dinky 1.0 or newer", None, error=DinkyResponseError
    ),
    "submit_bad_sql": refused(SUBMIT(5), CALCITE, 5),
    "submit_variables_missing": refused(SUBMIT(6), NO_VARIABLE),
    "submit_variables_given": gives(
        SUBMIT(6, variables={"rows": "9"}), **started(3, "ab4959c1cb557d45f37d6cc88c8e151e")
    ),
    "submit_fails_at_runtime": gives(SUBMIT(4), **started(4, "b6e4a00fad8683be6224654c38dc8e11")),
    "submit_bad_savepoint_path": refused(SUBMIT(2, "/no/such/savepoint"), NO_FILE, 5),
    "submit_ok_stream": gives(SUBMIT(2), **started(5, "d5dffdc08da2edb4f350ff51b2cb6d44")),
    "submit_again_while_running": gives(SUBMIT(2), **started(6, "eae65808795cdde0d43cfaf3165a5fe5")),
    "submit_stream_again": gives(SUBMIT(2), **started(11, "cf4de391dfb0ad783500b34f17021e09")),
    "submit_for_plain_cancel": gives(SUBMIT(2), **started(12, "40663f32e92059ab6380636a725e93b5")),
    "submit_for_stop": gives(SUBMIT(2), **started(13, "e3758c1a5a4e6bfce87d2acd09f3fb23")),
    # Job instances
    "instance_just_submitted": gives(INSTANCE(2), **run(JobStatus.INITIALIZING, dinky_task_id=3)),
    "instance_running": gives(INSTANCE(2), **run(JobStatus.RUNNING, duration=243)),
    "instance_finished": gives(INSTANCE(2), **run(JobStatus.FINISHED, "2026-11-22 02:19:02")),
    "instance_failed": gives(INSTANCE(4), **run(JobStatus.FAILED, "2026-11-22 02:19:13")),
    "instance_unknown": refused(INSTANCE(99999), NEVER_RAN, error=DinkyNotFoundError),
    "instance_no_id": refused(by_hand, "Required request parameter 'id'", 5),
    "instance_text_id": refused(by_hand, 'java.lang.NumberFormatException: For input string: "abc"', 5),
    "by_task_running": gives(BY_TASK(2), id=6, **run(JobStatus.INITIALIZING)),
    "by_task_never_submitted": gives(BY_TASK(8)),
    "by_task_unknown": refused(BY_TASK(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    "by_task_after_bad_restart": gives(BY_TASK(2), id=8, **run(JobStatus.CANCELED, "2026-11-22 02:20:15")),
    "by_task_current": gives(BY_TASK(2), id=8, **run(JobStatus.CANCELED, "2026-11-22 02:20:15")),
    "old_instance_after_restart": gives(INSTANCE(5), **run(JobStatus.RUNNING)),
    "restarted_instance": gives(INSTANCE(7), history_id=10, **run(JobStatus.RUNNING)),
    "restarted_from_path_instance": gives(INSTANCE(8), **run(JobStatus.RUNNING)),
    "instance_cancelled_sp": gives(INSTANCE(11), **run(JobStatus.CANCELED, "2026-11-22 02:20:25")),
    "instance_cancelled": gives(INSTANCE(12), **run(JobStatus.CANCELED, "2026-11-22 02:20:41")),
    "instance_stopped": gives(INSTANCE(13), **run(JobStatus.FINISHED, "2026-11-22 02:21:02")),
    # Savepoints
    "savepoint_trigger_running": gives(
        SAVEPOINT(2), path=f"{SAVED}eae658-25db80da428f", job_id="eae65808795cdde0d43cfaf3165a5fe5"
    ),
    "savepointTask_trigger_running": gives(
        lambda recorded: replace(by_hand(recorded), parse=SAVEPOINT(2).parse),
        path=f"{SAVED}eae658-f0110060f967",
    ),
    "savepoint_bad_type": refused(
        SAVEPOINT(2, "nonsense"),  # type: ignore[arg-type]
        "No enum constant org.dinky.gateway.enums.SavePointType.NONSENSE",
        5,
    ),
    "savepoint_unknown_task": refused(SAVEPOINT(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    "savepoint_never_submitted": refused(SAVEPOINT(8), NEVER_RAN, error=DinkyNotFoundError),
    "savepoint_before_path_restart": gives(SAVEPOINT(2), path=f"{SAVED}89a050-e4fa09f482bb"),
    "savepoint_not_running": refused(SAVEPOINT(2), "this argument is required; it must not be null", 5),
    "savepoint_stop": gives(SAVEPOINT(2, "stop"), path=f"{SAVED}e3758c-7b3bf16e6ee0"),
    # Restarts
    "restart_without_path": gives(
        RESTART(2), **started(7, "89a0502c744bf74361f2bf1783333fa3", f"{SAVED}eae658-e0109d7c37c6")
    ),
    "restart_with_path": gives(
        RESTART(2, f"{SAVED}89a050-e4fa09f482bb"),
        **started(8, "7c8ebada68caebe77aa43f9b2b9972af", f"{SAVED}89a050-e4fa09f482bb"),
    ),
    "restart_with_bad_path": refused(RESTART(2, "/no/such/savepoint"), NO_FILE, 5),
    "restart_not_running": gives(RESTART(3), **started(9, "3fbf95f7bd5b577b92654fb0ad77e484")),
    "restart_never_submitted": gives(RESTART(8), **started(10, "27c1f4b3b808c662c814970ade508036")),
    "restart_unknown": refused(RESTART(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    # Cancels
    "cancel_with_savepoint": gives(CANCEL(2, with_savepoint=True), but={"forceCancel": "true"}),
    "cancel_plain": gives(CANCEL(2), but=FLAGS),
    "cancel_already_cancelled": gives(CANCEL(2), but=FLAGS),
    "cancel_finished": gives(CANCEL(3), but=FLAGS),
    "cancel_never_submitted": gives(CANCEL(8), but=FLAGS),
    "cancel_unknown": refused(CANCEL(9999), UNKNOWN_TASK, error=DinkyNotFoundError, but=FLAGS),
    # SQL
    "export_sql": gives(calls.export_sql(2)),
    "export_sql_unknown": refused(calls.export_sql(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    "lineage": gives(calls.get_task_lineage(2)),
    "lineage_unknown": refused(calls.get_task_lineage(9999), UNKNOWN_TASK, error=DinkyNotFoundError),
    "explain_ok": gives(explain, **{"0.type": "DDL", "2.error": None, "2.reason": None}),
    "explain_bad": gives(explain, **{"0.explain_true": False, "0.reason": CALCITE}),
    "job_plan": gives(plan),
    "stream_graph": refused(by_hand, 'Cannot invoke "java.lang.Integer.intValue()"', 5),
    # Signed out
    "api_without_login": refused(
        replace(calls.refresh_job_info_detail(1), params={"id": 1}),
        "Can Not Read Token",
        None,
        error=DinkySignInError,
    ),
    "api_list_without_login": refused(calls.get_task(1), "Can Not Read Token", None, error=DinkySignInError),
    # The mark of a submit
    "submit_with_key": gives(
        SUBMIT(2, variables={"airflow_run_key": "dag/run/task/-1/0"}),
        **started(46, "70c7fa23e5ff3ff92cc87c0412c1a5e2"),
    ),
    "detail_shows_key": gives(
        calls.get_job_info_detail(46),
        **{
            "instance.status": JobStatus.INITIALIZING,
            "history.run_key": "dag/run/task/-1/0",
            "failure_trace": None,
        },
    ),
    "history_shows_key": gives(
        calls.list_history(2, limit=2),
        **{"0.run_key": "dag/run/task/-1/0", "0.status": 2, "0.variables": {}, "1.id": 45},
    ),
    "submit_failing_with_key": refused(
        SUBMIT(4, variables={"airflow_run_key": "dag/run/bad/-1/0"}), CALCITE, 5
    ),
    "history_of_failed_submit": gives(
        calls.list_history(4, limit=1), **{"0.run_key": "dag/run/bad/-1/0", "0.status": 3, "0.job_id": None}
    ),
    "submit_variables_for_restart": gives(
        SUBMIT(5, variables={"rows": "300"}), **started(47, "0389d50289402de08c6b638031fb1a6f")
    ),
    "restart_drops_variables": refused(RESTART(5, via_api=True), NO_VARIABLE),
    "instance_after_dropped_variables": gives(BY_TASK(5), **run(JobStatus.CANCELED, "2026-11-22 03:37:02")),
    "task_by_id_shows_newest_instance": gives(calls.get_task(2), job_instance_id=46, dialect="FlinkSql"),
    # Signing in
    "login_first": gives(calls.get_token_info(), config=BY_PASSWORD),
    "login_second": gives(calls.get_token_info(), config=BY_PASSWORD),
    "login_third": gives(calls.get_token_info(), config=BY_PASSWORD),
    "login_ok": gives(calls.get_token_info(), config=BY_PASSWORD),
    "login_wrong_password": refused(
        calls.get_token_info(),
        "Dinky refuses user 'admin' (UserName Or Password Not Correct): check login and password",
        None,
        error=DinkySignInError,
        config=BY_PASSWORD | {"password": "nope"},
    ),
    "login_unknown_user": refused(
        calls.get_token_info(),
        "Dinky refuses user 'nobody' (User Not Exist): check login and password",
        None,
        error=DinkySignInError,
        config=BY_PASSWORD | {"username": "nobody", "password": "nope"},
    ),
    "choose_tenant": gives(calls.get_token_info(), config=BY_PASSWORD),
    "choose_tenant_unknown": refused(
        calls.get_token_info(),
        "the user is not in tenant 99: check tenant_id",
        None,
        error=DinkySignInError,
        config=BY_PASSWORD | {"tenant_id": 99},
    ),
    "token_info": gives(calls.get_token_info()),
    "build_token": gives(by_hand),
    "first_signed_in": gives(status_of),
    "issued_token_still_in": gives(status_of),
    "token_header_only": gives(status_of),
    "first_pushed_offline": refused(status_of, "token has been pushed offline", None, error=DinkySignInError),
    "bad_token_cookie": refused(status_of, "Invalid Token", None, error=DinkySignInError),
    "bad_token_header": refused(status_of, "Invalid Token", None, error=DinkySignInError),
    "wrong_tenant": refused(status_of, "the user is not in tenant 1", None, error=DinkySignInError),
    "signed_out_by_wrong_tenant": refused(status_of, "Invalid Token", None, error=DinkySignInError),
    "logout": gives(by_hand),
    "after_logout": refused(status_of, "Invalid Token", None, error=DinkySignInError),
    # Signed in
    "task_submit": gives(
        lambda recorded: replace(by_hand(recorded), parse=SUBMIT(1).parse),
        **started(34, "0a6ca3420f07644a43dd47ddeac8a3a9"),
    ),
    "submit_bounded": gives(SUBMIT(2), **started(35, "550ed3b6984b86ad6f18ba77eb292d6b")),
    "submit_failing": gives(SUBMIT(3), **started(36, "63dfe9ba52ba3bd5aa08c37146daf9bd")),
    "list_instances_latest_per_task": gives(
        calls.list_latest_job_instances(100), **{"0.id": 36, "0.status": JobStatus.FAILED, "2.id": 34}
    ),
    "list_instances_all": gives(_all_instances, **{"0.id": 36, "1.id": 35}),
    "list_instances_by_ids": gives(
        calls.list_job_instances([36]), but={"pageSize": 1}, **{"36.status": JobStatus.FAILED}
    ),
    # The recorded request left the order to Dinky; ours asks for newest first, and does not rely on it.
    "list_instances_by_task": gives(
        calls.list_job_instances_of_task(1, limit=5),
        but={"sorter": {"id": "descend"}},
        **{"0.id": 34, "0.finish_time": None, "2.id": 1, "2.status": JobStatus.UNKNOWN},
    ),
    "failed_detail": gives(
        calls.get_job_info_detail(36),
        **{"instance.status": JobStatus.FAILED, "history.id": 36, "job_data.error": False},
    ),
    "refresh_running": gives(
        calls.refresh_job_info_detail(34),
        **{"instance.status": JobStatus.RUNNING, "failure_trace": None, "instance.finish_time": None},
    ),
    "task_by_id": gives(calls.get_task(1), name="stream_orders", job_instance_id=34, cluster_id=1),
    "task_savepoint": gives(SAVEPOINT(1, via_api=True), path=f"{SAVED}0a6ca3-286da0d07318"),
    "savepoints_of_task": gives(
        lambda recorded: replace(
            _savepoint_page(recorded), bare=True, parse=lambda page: _savepoints(page.data["data"])
        ),
        **{"0.path": f"{SAVED}0a6ca3-286da0d07318"},
    ),
    "savepoints_list_by_task": gives(
        calls.list_savepoints(1), **{"0.path": f"{SAVED}0a6ca3-286da0d07318", "0.type": "trigger"}
    ),
    "task_restart": gives(
        RESTART(1, via_api=True),
        but={"isOnLine": None},
        **started(37, "14b419e8cc16223116011547fd6d65dd", f"{SAVED}0a6ca3-81388160882d"),
    ),
    "task_cancel": gives(CANCEL(1, via_api=True)),
    "cluster_instances": gives(by_hand),
    # Flink, directly and through Dinky
    "flink_job_failed": gives(bare_by_hand),
    "flink_exceptions": gives(
        lambda recorded: replace(job_exceptions("jm:8081", "63dfe9ba52ba3bd5aa08c37146daf9bd"), base_url=None)
    ),
    "flink_jobs_overview": gives(bare_by_hand),
    "flink_checkpoints": gives(bare_by_hand),
    "flink_unknown_job": refused(
        bare_by_hand,
        "NotFoundException: Job 00000000000000000000000000000000",
        None,
        error=DinkyResponseError,
    ),
    "flink_via_dinky_proxy": gives(bare_by_hand),
}


def _savepoints(listed: Any) -> Any:
    return calls.list_savepoints(1).parse(Answer(listed))


def _name(recorded: Exchange) -> str:
    return recorded.label


@pytest.mark.parametrize("recorded", read_exchanges(), ids=_name)
def test_exchange(recorded: Exchange, connect: Callable[..., AnyClient]) -> None:
    check(recorded, READINGS[recorded.name], connect)


def test_every_recorded_exchange_has_its_reading() -> None:
    assert {recorded.name for recorded in read_exchanges()} == set(READINGS)


def test_values_that_are_no_models() -> None:
    read = {
        name: _read(name)
        for name in ("version", "export_sql", "cancel_plain", "by_task_common_sql", "lineage")
    }
    assert read["version"] == "1.1.0"
    assert read["export_sql"].startswith("set pipeline.name = stream_orders;\r\n")
    assert read["cancel_plain"] is True
    assert read["by_task_common_sql"] is None
    assert read["lineage"] is None
    assert _read("task_cancel") is True
    assert _read("job_plan")["nodes"][0]["parallelism"] == 1


def test_the_reason_of_a_failed_job_is_read_from_dinky_and_from_flink() -> None:
    assert root_cause(_read("failed_detail").failure_trace).startswith(NOT_A_NUMBER)  # type: ignore[union-attr]
    assert root_cause(failure_trace(_read("flink_exceptions"))).startswith(NOT_A_NUMBER)  # type: ignore[union-attr]


def _read(name: str) -> Any:
    reading, recorded = READINGS[name], TRIMMED[name]
    call = reading.call if isinstance(reading.call, ApiCall) else reading.call(recorded)
    body = recorded.body
    return call.parse(Answer(body) if call.bare else Answer(body["data"], body["msg"]))
