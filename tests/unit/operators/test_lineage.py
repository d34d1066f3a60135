# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_dinky.client.models import Lineage
from airflow_provider_dinky.lineage import _tables
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import new_context

ORDERS, REPORT = 1, 2


def lineage_of(operator: Any) -> Any:
    pytest.importorskip(
        "airflow.providers.openlineage", reason="Airflow's OpenLineage provider is not installed"
    )
    from airflow.providers.openlineage.extractors.base import DefaultExtractor

    return DefaultExtractor(operator).extract_on_complete(None)


def finished(operator: type[SubmitTaskOperator] | type[RestartTaskOperator], task: int, **kwargs: Any) -> Any:
    ready = operator(task_id="t", dinky_task_id=task, dinky_conn_id="signed_in", poll_interval=0.02, **kwargs)
    ready.execute(new_context(ready))
    return ready


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


def test_the_sql_only_if_asked_for_and_without_its_secrets(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "CREATE TABLE t (a INT) WITH ('connector'='jdbc', 'password'='hidden-one');"
    monkeypatch.setattr("airflow_provider_dinky.client.calls.export_sql", _answers(secret))
    sql = lineage_of(finished(SubmitTaskOperator, ORDERS, lineage_sql=True)).job_facets["sql"].query

    assert "CREATE TABLE t" in sql
    assert "hidden-one" not in sql


def _answers(text: str) -> Any:
    from airflow_provider_dinky.client import calls

    return lambda dinky_task_id: calls.ApiCall(
        "SQL", "GET", "/openapi/exportSql", lambda answer: text, params={"id": dinky_task_id}
    )


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
