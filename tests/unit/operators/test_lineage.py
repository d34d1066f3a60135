# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client.models import Lineage
from airflow_provider_dinky.exceptions import JobFailedError
from airflow_provider_dinky.lineage import _tables
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import new_context

ORDERS, REPORT, FAILING = 1, 2, 4


NULL_LINEAGE = pytest.mark.xfail(
    strict=True,
    reason="getTaskLineage answers null on real servers; the instance's lineage is to be read instead",
)


def extractor(operator: Any) -> Any:
    pytest.importorskip(
        "airflow.providers.openlineage", reason="Airflow's OpenLineage provider is not installed"
    )
    from airflow.providers.openlineage.extractors.base import DefaultExtractor

    return DefaultExtractor(operator)


def lineage_of(operator: Any) -> Any:
    return extractor(operator).extract_on_complete(None)


def finished(
    operator: type[SubmitTaskOperator] | type[RestartTaskOperator],
    task: int,
    conn_id: str = "signed_in",
    **kwargs: Any,
) -> Any:
    ready = operator(task_id="t", dinky_task_id=task, dinky_conn_id=conn_id, poll_interval=0.02, **kwargs)
    ready.execute(new_context(ready))
    return ready


@NULL_LINEAGE
@pytest.mark.parametrize("operator", [SubmitTaskOperator, RestartTaskOperator])
def test_a_started_job_reports_what_it_reads_and_writes(sandbox: Sandbox, operator: Any) -> None:
    lineage = lineage_of(finished(operator, ORDERS))
    namespace = f"dinky://127.0.0.1:{sandbox.port}"

    assert [(table.namespace, table.name) for table in lineage.inputs] == [
        (namespace, "default_catalog.default_database.orders")
    ]
    assert [table.name for table in lineage.outputs] == [
        "default_catalog.default_database.orders_by_customer"
    ]
    assert lineage.run_facets["externalQuery"].externalQueryId == sandbox.engine.jobs[0].jid
    assert lineage.job_facets == {}


SECRET = "CREATE TABLE t (a INT) WITH ('connector'='jdbc', 'password'='hidden-one');"


@NULL_LINEAGE
def test_the_sql_only_if_asked_for_and_without_its_secrets(sandbox: Sandbox, conn_id: str) -> None:
    done = finished(SubmitTaskOperator, ORDERS, conn_id, lineage_sql=True)
    tasks = sandbox._core.dinky.tasks
    tasks[ORDERS] = replace(tasks[ORDERS], sql=SECRET)
    sql = lineage_of(done).job_facets["sql"].query

    assert "CREATE TABLE t" in sql
    assert "hidden-one" not in sql


@NULL_LINEAGE
def test_no_sql_takes_no_lineage_away(sandbox: Sandbox, conn_id: str) -> None:
    done = finished(SubmitTaskOperator, ORDERS, conn_id, lineage_sql=True)
    for path in ("/openapi/exportSql", "/api/task"):
        sandbox.fault("status", path, status=500, count=None)
    lineage = lineage_of(done)

    assert len(lineage.inputs) == len(lineage.outputs) == 1
    assert lineage.job_facets == {}


@NULL_LINEAGE
@pytest.mark.quirks
def test_the_sql_in_spite_of_the_tenant(sandbox: Sandbox, conn_id: str) -> None:
    done = finished(SubmitTaskOperator, ORDERS, conn_id, lineage_sql=True)
    sandbox.other_tenant_busy(0.5)
    assert "orders_by_customer" in lineage_of(done).job_facets["sql"].query


def test_nobody_is_signed_out(sandbox: Sandbox) -> None:
    done = finished(SubmitTaskOperator, ORDERS, lineage_sql=True)
    before = sum(request.path == "/api/login" for request in sandbox.requests)
    lineage_of(done)
    assert sum(request.path == "/api/login" for request in sandbox.requests) == before


def test_a_failed_task_reports_nothing_and_asks_nobody(sandbox: Sandbox) -> None:
    failed = SubmitTaskOperator(
        task_id="t", dinky_task_id=FAILING, dinky_conn_id="signed_in", poll_interval=0.02, wait_for="finished"
    )
    with pytest.raises(JobFailedError):
        failed.execute(new_context(failed))
    asked = len(sandbox.requests)
    assert extractor(failed).extract_on_failure(None) is None
    assert failed.get_openlineage_facets_on_failure(None) is None
    assert len(sandbox.requests) == asked


def test_no_lineage_is_no_trouble(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert lineage_of(finished(SubmitTaskOperator, REPORT)) is None
    assert caplog.records == []


def test_a_dinky_that_does_not_answer_is_no_trouble(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    done = finished(SubmitTaskOperator, ORDERS)
    sandbox.fault("reset", "/getTaskLineage", count=None)
    with caplog.at_level(logging.WARNING):
        assert lineage_of(done) is None
    assert caplog.records == []
    assert sum(request.path.endswith("/getTaskLineage") for request in sandbox.requests) <= 1


def test_a_table_between_two_others_is_read_and_written() -> None:
    tables = tuple({"id": name, "name": name} for name in "abc")
    relations = ({"srcTableId": "a", "tgtTableId": "b"}, {"srcTableId": "b", "tgtTableId": "c"})

    assert _tables(Lineage(tables=tables, relations=relations)) == (["a", "b"], ["b", "c"])


def test_what_dinky_may_leave_out_is_left_out() -> None:
    lineage = Lineage.model_validate(
        {"tables": [{"id": "1"}, "odd", {"name": "n"}], "relations": ["odd", {}]}
    )
    assert _tables(lineage) == ([], [])
