# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dinky.client.models import Lineage
from airflow_provider_dinky.exceptions import JobFailedError
from airflow_provider_dinky.lineage import _datasets
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import new_context

ORDERS, REPORT, FAILING, PLAIN_SQL = 1, 2, 4, 6


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


def test_the_sql_only_if_asked_for_and_without_its_secrets(sandbox: Sandbox, conn_id: str) -> None:
    tasks = sandbox._core.dinky.tasks
    tasks[ORDERS] = replace(tasks[ORDERS], sql=SECRET + tasks[ORDERS].sql)
    done = finished(SubmitTaskOperator, ORDERS, conn_id, lineage_sql=True)
    sql = lineage_of(done).job_facets["sql"].query

    assert "CREATE TABLE t" in sql
    assert "hidden-one" not in sql


def test_no_sql_takes_no_lineage_away(sandbox: Sandbox) -> None:
    done = finished(SubmitTaskOperator, ORDERS, lineage_sql=True)
    sandbox.fault("status", "/getJobInfoDetail", status=500, count=None)
    lineage = lineage_of(done)

    assert len(lineage.inputs) == len(lineage.outputs) == 1
    assert lineage.job_facets == {}


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


def test_anonymous_only_flinks_id_of_the_job(sandbox: Sandbox) -> None:
    lineage = lineage_of(finished(SubmitTaskOperator, ORDERS, "anonymous"))
    assert (lineage.inputs, lineage.outputs) == ([], [])
    assert lineage.run_facets["externalQuery"].externalQueryId == sandbox.engine.jobs[0].jid


def test_columns_as_openlineage_writes_them(sandbox: Sandbox) -> None:
    lineage = lineage_of(finished(SubmitTaskOperator, ORDERS))
    serde = pytest.importorskip("openlineage.client.serde")
    (read,) = (json.loads(serde.Serde.to_json(one)) for one in lineage.inputs)
    (written,) = (json.loads(serde.Serde.to_json(one)) for one in lineage.outputs)
    told = sandbox._core.dinky.tasks[ORDERS].lineage
    columns = {table["name"]: [one["name"] for one in table["columns"]] for table in told["tables"]}  # type: ignore[index]

    assert [field["name"] for field in read["facets"]["schema"]["fields"]] == columns[read["name"]]
    assert "columnLineage" not in read["facets"]
    fields = written["facets"]["columnLineage"]["fields"]
    for relation in told["relations"]:  # type: ignore[index]
        sources = fields[relation["tgtTableColName"]]["inputFields"]
        source = {"namespace": read["namespace"], "name": read["name"], "field": relation["srcTableColName"]}
        assert source.items() <= next(one for one in sources if one["field"] == source["field"]).items()


def test_tables_have_the_names_of_their_connectors(sandbox: Sandbox) -> None:
    tasks = sandbox._core.dinky.tasks
    sql = (
        "CREATE TABLE orders (id INT) WITH ('connector' = 'kafka', 'topic' = 'orders', "
        "'properties.bootstrap.servers' = 'broker:9092');\n" + tasks[ORDERS].sql
    )
    tasks[ORDERS] = replace(tasks[ORDERS], sql=sql)
    lineage = lineage_of(finished(SubmitTaskOperator, ORDERS))
    assert [(table.namespace, table.name) for table in lineage.inputs] == [("kafka://broker:9092", "orders")]
    (written,) = lineage.outputs
    assert written.namespace == f"dinky://127.0.0.1:{sandbox.port}"


def test_a_failed_task_reports_no_tables_and_asks_nobody(sandbox: Sandbox) -> None:
    failed = SubmitTaskOperator(
        task_id="t", dinky_task_id=FAILING, dinky_conn_id="signed_in", poll_interval=0.02, wait_for="finished"
    )
    with pytest.raises(JobFailedError):
        failed.execute(new_context(failed))
    asked = len(sandbox.requests)
    lineage = extractor(failed).extract_on_failure(None)
    assert (lineage.inputs, lineage.outputs) == ([], [])
    assert lineage.run_facets["externalQuery"].externalQueryId == sandbox.engine.jobs[0].jid
    assert len(sandbox.requests) == asked


def test_no_lineage_is_no_trouble(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        lineage = lineage_of(finished(SubmitTaskOperator, REPORT))
    assert (lineage.inputs, lineage.outputs) == ([], [])
    assert caplog.records == []


def test_a_dinky_that_does_not_answer_is_no_trouble(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    done = finished(SubmitTaskOperator, ORDERS)
    sandbox.fault("reset", "/getLineage", count=None)
    with caplog.at_level(logging.WARNING):
        lineage = lineage_of(done)
    assert (lineage.inputs, lineage.outputs) == ([], [])
    assert caplog.records == []
    assert sum(request.path.endswith("/getLineage") for request in sandbox.requests) <= 1


def test_common_sql_has_no_job_and_no_lineage(sandbox: Sandbox) -> None:
    lineage = lineage_of(finished(SubmitTaskOperator, PLAIN_SQL))
    assert (lineage.inputs, lineage.outputs, lineage.run_facets) == ([], [], {})


def test_a_table_between_two_others_is_read_and_written() -> None:
    pytest.importorskip("openlineage.client")
    tables = tuple({"id": name, "name": name} for name in "abc")
    relations = ({"srcTableId": "a", "tgtTableId": "b"}, {"srcTableId": "b", "tgtTableId": "c"})
    read, written = _datasets(Lineage(tables=tables, relations=relations), {}, "dinky://d")
    assert ([one.name for one in read], [one.name for one in written]) == (["a", "b"], ["b", "c"])


def test_what_dinky_may_leave_out_is_left_out() -> None:
    pytest.importorskip("openlineage.client")
    lineage = Lineage.model_validate(
        {"tables": [{"id": "1"}, "odd", {"name": "n"}], "relations": ["odd", {}]}
    )
    assert _datasets(lineage, {}, "dinky://d") == ([], [])
