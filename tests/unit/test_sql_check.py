# SPDX-License-Identifier: Apache-2.0
"""SQL that would not run is found before anything is touched, with its line and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.models import ExplainedStatement
from airflow_provider_dinky.exceptions import DinkyTaskError, SqlCheckError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import (
    ExplainTaskOperator,
    RestartTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sql_check import check_sql, find_problems
from tests.airflow_task import execute, new_context
from tests.sandboxed import conn_id, sandbox

__all__ = ["conn_id", "sandbox"]

STREAM, BACKFILL, BAD_SQL = 1, 3, 5
SQL = """\
CREATE TABLE src (id BIGINT) WITH ('connector'='datagen');

INSERT INTO snk
SELECT id,
  nme FROM src;"""
VALIDATION = """\
org.apache.flink.table.api.ValidationException: SQL validation failed. From line 3, column 3 to line 3, column 5
\tat org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:186)
Caused by: org.apache.calcite.runtime.CalciteContextException: From line 3, column 3 to line 3, column 5: Column 'nme'
\t... 90 more
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Column 'nme' not found in any table
\t... 96 more
"""


def explained(*statements: dict[str, Any]) -> list[ExplainedStatement]:
    return [ExplainedStatement.model_validate(statement) for statement in statements]


class TestWhere:
    def test_the_line_that_flink_names_is_counted_from_the_statement(self) -> None:
        (problem,) = find_problems(
            SQL,
            explained(
                {"index": 1, "sql": "CREATE TABLE src (id BIGINT) WITH ('connector'='datagen')"},
                {"index": 2, "sql": "INSERT INTO snk\nSELECT id,\n  nme FROM src", "error": VALIDATION},
            ),
        )
        assert (problem.statement, problem.line, problem.text) == (2, 5, "nme FROM src")
        assert problem.reason == (
            "org.apache.calcite.sql.validate.SqlValidatorException: Column 'nme' not found in any table"
        )

    def test_without_a_line_it_is_the_statements_first(self) -> None:
        (problem,) = find_problems(
            SQL, explained({"sql": "INSERT INTO snk\nSELECT id,\n  nme FROM src", "error": "no idea"})
        )
        assert (problem.statement, problem.line, problem.text) == (1, 3, "INSERT INTO snk")

    def test_what_the_parser_expected_is_left_out(self) -> None:
        error = (
            'ParseException: Encountered "FRM" at line 1, column 8.\nWas expecting one of:\n    "A"\n    "B"'
        )
        (problem,) = find_problems("SELECT FRM", explained({"sql": "SELECT FRM", "error": error}))
        assert problem.reason == 'ParseException: Encountered "FRM" at line 1, column 8.'

    def test_equal_statements_are_told_apart(self) -> None:
        sql = "SELECT 1;\nSELECT 1;"
        (problem,) = find_problems(sql, explained({"sql": "SELECT 1"}, {"sql": "SELECT 1", "error": "bad"}))
        assert (problem.statement, problem.line) == (2, 2)

    @pytest.mark.parametrize("flag", ["parseTrue", "explainTrue"])
    def test_wrong_without_a_word(self, flag: str) -> None:
        (problem,) = find_problems("SELECT 1", explained({"sql": "SELECT 1", flag: False}))
        assert "not why" in problem.reason

    @given(st.text(), st.lists(st.tuples(st.none() | st.text(), st.none() | st.text())))
    def test_never_fails(self, sql: str, statements: list[tuple[str | None, str | None]]) -> None:
        found = find_problems(sql, explained(*({"sql": text, "error": error} for text, error in statements)))
        assert len(found) == sum(bool(error) for _, error in statements)
        assert all(str(problem) for problem in found)


class TestCheck:
    def test_fine(self, sandbox: Sandbox, conn_id: str) -> None:
        task = ExplainTaskOperator(task_id="check", dinky_task_id=STREAM, dinky_conn_id=conn_id)
        assert task.execute(new_context(task)) >= 3
        assert not sandbox.engine.jobs

    def test_wrong(self, sandbox: Sandbox, conn_id: str) -> None:
        task = ExplainTaskOperator(task_id="check", dinky_task_id=BAD_SQL, dinky_conn_id=conn_id)
        with pytest.raises(SqlCheckError) as caught:
            task.execute(new_context(task))
        said = str(caught.value)
        assert f"connection '{conn_id}': the SQL of Dinky task {BAD_SQL} would not run. Nothing was" in said
        assert "line " in said
        assert "Non-query expression encountered in illegal context" in said
        assert "INSERT INTO nowhere SELEC 1" in said

    def test_variables(self, sandbox: Sandbox, conn_id: str) -> None:
        with DinkyHook(conn_id) as hook:
            assert check_sql(hook, BACKFILL, {"day": "2026-11-24"}) >= 3

    def test_a_variable_is_missing(self, sandbox: Sandbox, conn_id: str) -> None:
        task = ExplainTaskOperator(task_id="check", dinky_task_id=BACKFILL, dinky_conn_id=conn_id)
        with pytest.raises(DinkyTaskError, match="day"):
            task.execute(new_context(task))

    @pytest.mark.parametrize("field", ["password", "sasl.password"])
    def test_no_secret_is_shown(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
        sql = f"CREATE TABLE t (id BIGINT) WITH ('{field}' = 'hunter22');"
        answer = explained({"sql": sql[:-1], "error": f"bad: {sql}"})
        monkeypatch.setattr(DinkyHook, "explain_sql", lambda *_, **__: answer)
        with DinkyHook("signed_in") as hook, pytest.raises(SqlCheckError) as caught:
            check_sql(hook, STREAM)
        assert "hunter22" not in str(caught.value)


class TestBeforeAnythingIsTouched:
    @pytest.mark.parametrize("operator", [SubmitTaskOperator, RestartTaskOperator])
    def test_nothing_is_started(self, sandbox: Sandbox, conn_id: str, operator: Any) -> None:
        task = operator(task_id="t", dinky_task_id=BAD_SQL, dinky_conn_id=conn_id, check_sql=True)
        with pytest.raises(SqlCheckError):
            execute(task, new_context(task))
        assert not [request for request in sandbox.requests if "submit" in request.path]

    @pytest.mark.parametrize("method", ["steps", "endpoint"])
    def test_nothing_is_stopped(self, sandbox: Sandbox, conn_id: str, method: str) -> None:
        settings: dict[str, Any] = {"dinky_task_id": STREAM, "dinky_conn_id": conn_id, "poll_interval": 0.02}
        task: Any = SubmitTaskOperator(task_id="start", **settings)
        execute(task, new_context(task))
        spoil(sandbox)

        task = RestartTaskOperator(task_id="t", check_sql=True, method=method, **settings)
        with pytest.raises(SqlCheckError):
            execute(task, new_context(task, run_id="later"))
        (job,) = sandbox.engine.jobs
        assert (job.state, job.savepoints) == ("RUNNING", ())

    def test_a_job_of_ours_is_followed_without_a_check(self, sandbox: Sandbox) -> None:
        task = SubmitTaskOperator(
            task_id="t", dinky_task_id=STREAM, dinky_conn_id="signed_in", check_sql=True, poll_interval=0.02
        )
        first = execute(task, new_context(task))
        spoil(sandbox)
        assert execute(task, new_context(task, try_number=2)) == first


def test_an_answer_that_names_no_statement_is_no_check(sandbox: Sandbox, conn_id: str) -> None:
    sandbox.fault("body", "/openapi/explainSql", body='{"code":0,"data":null,"success":true}')
    task = SubmitTaskOperator(task_id="t", dinky_task_id=STREAM, dinky_conn_id=conn_id, check_sql=True)
    with pytest.raises(SqlCheckError, match=f"'{conn_id}': the SQL of Dinky task 1 was not checked"):
        execute(task, new_context(task))
    assert not sandbox.engine.jobs


def spoil(sandbox: Sandbox) -> None:
    """Somebody saves SQL for the stream that would not run."""
    refused = '{"code":0,"data":[{"index":1,"sql":"INSERT","error":"bad","parseTrue":false}],"success":true}'
    sandbox.fault("body", "/openapi/explainSql", body=refused)
