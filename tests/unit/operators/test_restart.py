# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, RivalJobError, StateLostError
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.submission import Starter
from tests.airflow_task import StateStore, execute, new_context

STREAM, REPORT, PAYMENTS = 1, 2, 7


def restart(dinky_task_id: Any = STREAM, **kwargs: Any) -> RestartTaskOperator:
    return RestartTaskOperator(
        **{
            "task_id": "restart",
            "dinky_task_id": dinky_task_id,
            "dinky_conn_id": "signed_in",
            "poll_interval": 0.02,
            "deferrable": False,
            **kwargs,
        }
    )


def start(dinky_task_id: int = STREAM, **kwargs: Any) -> int:
    task = SubmitTaskOperator(
        task_id="start",
        dinky_task_id=dinky_task_id,
        dinky_conn_id="signed_in",
        poll_interval=0.02,
        deferrable=False,
        **kwargs,
    )
    return int(execute(task, new_context(task, run_id="earlier")))


def used(sandbox: Sandbox) -> str:
    """The way the restart took."""
    endpoint = any(request.path.endswith("/restartTask") for request in sandbox.requests)
    return "endpoint" if endpoint else "steps"


def states(sandbox: Sandbox) -> list[str]:
    return [job.state for job in sandbox.engine.jobs]


class TestRestart:
    def test_resumes_from_a_new_savepoint(self, sandbox: Sandbox, conn_id: str, deferrable: bool) -> None:
        old_id = start()
        task = restart(dinky_conn_id=conn_id, deferrable=deferrable)
        context = new_context(task)

        new_id = execute(task, context)

        old, new = sandbox.engine.jobs
        assert new_id > old_id
        assert old.ended is not None
        assert new.state == "RUNNING"
        assert new.resumed_from == context["ti"].xcom["savepoint_path"] == old.savepoints[-1]

    @pytest.mark.parametrize("method", ["endpoint", "steps"])
    def test_by_either_method(self, sandbox: Sandbox, conn_id: str, method: Any) -> None:
        start()
        task = restart(dinky_conn_id=conn_id, method=method)
        execute(task, new_context(task))

        old, new = sandbox.engine.jobs
        assert used(sandbox) == method
        assert new.resumed_from == old.savepoints[-1]

    def test_from_a_given_path(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        with_savepoint = restart()
        execute(with_savepoint, new_context(with_savepoint))
        path = sandbox.engine.jobs[0].savepoints[-1]
        task = restart(dinky_conn_id=conn_id, savepoint_path=path)

        execute(task, new_context(task, run_id="second"))

        assert sandbox.engine.jobs[-1].resumed_from == path
        assert states(sandbox)[-1] == "RUNNING"
        assert len(sandbox.engine.jobs) == 3

    @pytest.mark.parametrize("before", ["never_ran", "finished"])
    def test_of_a_task_that_does_not_run_is_a_plain_start(
        self, sandbox: Sandbox, conn_id: str, before: str
    ) -> None:
        if before == "finished":
            start(REPORT, wait_for="finished")
        task = restart(REPORT, dinky_conn_id=conn_id)
        execute(task, new_context(task))

        # A bounded job, which on a busy machine has ended by now.
        assert sandbox.engine.jobs[-1].state in ("RUNNING", "FINISHED")
        assert len(sandbox.engine.jobs) == (2 if before == "finished" else 1)
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_of_plain_sql_runs_it(self, sandbox: Sandbox) -> None:
        task = restart(6)
        context = new_context(task)

        assert task.execute(context) is None
        assert len(context["ti"].xcom["result"]["rows"]) == 2

    @pytest.mark.quirks
    def test_on_a_dinky_that_has_just_started(self, sandbox: Sandbox) -> None:
        start()
        sandbox.restart()
        task = restart(dinky_conn_id="anonymous")

        execute(task, new_context(task))
        assert states(sandbox)[-1] == "RUNNING"


class TestAuto:
    def test_takes_the_endpoint_where_that_does_the_whole_job(self, sandbox: Sandbox) -> None:
        start()
        task = restart()
        execute(task, new_context(task, store=StateStore()))
        assert used(sandbox) == "endpoint"

    def test_takes_the_steps_where_nothing_can_be_written_down(self, sandbox: Sandbox) -> None:
        start()
        task = restart()
        execute(task, new_context(task))
        assert used(sandbox) == "steps"

    def test_takes_the_steps_for_an_anonymous_caller_who_could_not_go_back(self, sandbox: Sandbox) -> None:
        start()
        task = restart(dinky_conn_id="anonymous")
        execute(task, new_context(task, store=StateStore()))
        assert used(sandbox) == "steps"

    def test_takes_over_the_variables_of_the_running_job(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS)
        execute(task, new_context(task, store=StateStore()))

        assert used(sandbox) == "steps"
        assert sandbox.engine.jobs[-1].variables["region"] == "EU"

    def test_gives_other_variables_if_told(self, sandbox: Sandbox, conn_id: str) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, dinky_conn_id=conn_id, variables={"region": "US"})
        execute(task, new_context(task))

        assert sandbox.engine.jobs[-1].variables["region"] == "US"
        assert sandbox.engine.jobs[-1].variables["airflow_run_key"].startswith("dag1/run1/restart/")

    def test_endpoint_with_variables_is_refused_before_anything_is_touched(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, method="endpoint", variables={"region": "US"})
        with pytest.raises(DinkyTaskError, match="cannot carry variables.*Nothing was touched"):
            execute(task, new_context(task))
        assert states(sandbox) == ["RUNNING"]


class TestNeverLeavesItDownSilently:
    def test_a_bad_path_goes_back_to_the_savepoint_just_taken(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        task = restart(dinky_conn_id=conn_id, savepoint_path="/no/such/savepoint")

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))

        old, back = sandbox.engine.jobs
        assert back.state in ("INITIALIZING", "RUNNING")
        assert back.resumed_from == old.savepoints[-1]
        assert "/no/such/savepoint" in str(failure.value)
        assert f"started again from the savepoint just taken, {old.savepoints[-1]}" in str(failure.value)

    def test_missing_variables_go_back_with_the_old_ones(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, variables={"typo": "EU"})

        with pytest.raises(DinkyTaskError, match=r"\$\{region\}[\s\S]*started again from the savepoint"):
            execute(task, new_context(task))
        assert sandbox.engine.jobs[-1].variables["region"] == "EU"
        assert sandbox.engine.jobs[-1].ended is None

    def test_a_new_start_that_fails_twice_says_from_where_to_resume(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, dinky_conn_id="anonymous", variables={"typo": "EU"})

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        (old,) = sandbox.engine.jobs
        assert f"is DOWN; resume it from {old.savepoints[-1]}" in str(failure.value)

    def test_endpoint_whose_new_start_fails_goes_back_when_signed_in(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, method="endpoint")

        with pytest.raises(DinkyTaskError, match="started again from the savepoint just taken"):
            execute(task, new_context(task))
        old, back = sandbox.engine.jobs
        assert back.resumed_from == old.savepoints[-1]
        assert back.variables["region"] == "EU"

    def test_endpoint_whose_new_start_fails_says_so_when_anonymous(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        task = restart(PAYMENTS, dinky_conn_id="anonymous", method="endpoint")

        with pytest.raises(
            DinkyTaskError, match=r"is DOWN \(job instance 1 is (CANCELED|FINISHED)\).*find it in Dinky"
        ):
            execute(task, new_context(task))

    def test_a_savepoint_that_fails_touches_nothing(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        sandbox.fail_savepoints()
        task = restart(dinky_conn_id=conn_id, method="steps")

        with pytest.raises(DinkyTaskError, match="savepoint"):
            execute(task, new_context(task))
        assert states(sandbox) == ["RUNNING"]

    def test_a_restart_of_dinkys_own_without_state_fails_and_is_not_retried(self, sandbox: Sandbox) -> None:
        start()
        sandbox.fail_savepoints()
        task = restart(method="endpoint")

        with pytest.raises(StateLostError, match="WITHOUT its state.*Job instance 2 runs"):
            execute(task, new_context(task, store=StateStore()))
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_a_job_out_of_sight_is_not_restarted(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        sandbox.kill_cluster()
        sandbox.set_status(1, "UNKNOWN")
        task = restart(dinky_conn_id=conn_id)

        with pytest.raises(DinkyTaskError, match="lost sight of job instance 1.*Nothing was touched"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

    def test_a_job_back_in_sight_is(self, sandbox: Sandbox) -> None:
        start()
        sandbox.set_status(1, "UNKNOWN")
        task = restart()
        execute(task, new_context(task))
        assert states(sandbox)[-1] == "RUNNING"

    def test_an_old_job_that_does_not_end_gets_no_twin(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        sandbox.slow_stop(3600)
        task = restart(dinky_conn_id=conn_id, method="steps", stop_timeout=0.2)

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        (old,) = sandbox.engine.jobs
        assert f"resume from {old.savepoints[-1]}" in str(failure.value)

    def test_stop_job_failed_gets_no_twin(self, sandbox: Sandbox) -> None:
        start()
        sandbox.slow_stop(3600)
        task = restart(method="endpoint", stop_timeout=0.2)

        with pytest.raises(DinkyTaskError, match="no new job was started"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

    def test_an_old_job_that_ends_after_the_try_is_resumed_by_the_retry(self, sandbox: Sandbox) -> None:
        start()
        sandbox.slow_stop(90)
        store = StateStore()
        task = restart(method="endpoint", stop_timeout=0.2, retries=1)
        with pytest.raises(DinkyTaskError, match="no new job was started"):
            execute(task, new_context(task, store=store))
        while sandbox.engine.jobs[0].ended is None:
            time.sleep(0.02)
        sandbox.slow_stop(0.3)
        retry = restart(method="endpoint", retries=1)
        execute(retry, new_context(retry, store=store, try_number=2))

        assert sandbox.engine.jobs[-1].resumed_from == sandbox.engine.jobs[0].savepoints[-1]
        assert states(sandbox)[-1] in ("INITIALIZING", "RUNNING")


class TestLostAnswer:
    def test_of_the_endpoint_is_looked_for(self, sandbox: Sandbox, logged: Callable[[], str]) -> None:
        start()
        sandbox.fault("reset", "/restartTask", when="after")
        task = restart(method="endpoint")

        assert execute(task, new_context(task)) == 2
        assert len(sandbox.engine.jobs) == 2

    def test_of_the_new_start_is_looked_for(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        sandbox.fault("reset", "/submitTask", when="after")
        task = restart(dinky_conn_id=conn_id, method="steps")

        assert execute(task, new_context(task)) == 2
        assert len(sandbox.engine.jobs) == 2

    def test_of_the_savepoint_is_looked_for(self, sandbox: Sandbox) -> None:
        start()
        sandbox.fault("reset", "/savepoint", when="after")
        task = restart(method="steps")

        assert execute(task, new_context(task)) == 2
        old, new = sandbox.engine.jobs
        assert new.resumed_from == old.savepoints[-1]
        assert len(old.savepoints) == 1

    def test_of_the_savepoint_is_told_where_nobody_can_look(self, sandbox: Sandbox) -> None:
        start()
        sandbox.fault("reset", "/savepoint", when="after")
        task = restart(dinky_conn_id="anonymous", method="steps")

        with pytest.raises(DinkyTaskError, match=r"is DOWN \(job instance 1 is FINISHED\).*find it in Dinky"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

    def test_of_the_new_start_that_never_arrived_names_the_path(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start()
        connection = {**json.loads(sandbox.airflow_connection), "extra": {"submit_timeout": 0.3}}
        monkeypatch.setenv("AIRFLOW_CONN_HASTY", json.dumps(connection))
        sandbox.fault("reset", "/submitTask", when="before")
        task = restart(dinky_conn_id="hasty", method="steps")

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        assert sandbox.engine.jobs[0].savepoints[-1] in str(failure.value)


def test_a_retry_follows_the_job_the_restart_has_started(sandbox: Sandbox) -> None:
    start()
    for _ in range(2):
        task = restart(method="steps")
        assert execute(task, new_context(task)) == 2
    assert len(sandbox.engine.jobs) == 2


def test_a_retry_after_going_back_restarts_anew(sandbox: Sandbox) -> None:
    start()
    task = restart(savepoint_path="/no/such/savepoint")
    with pytest.raises(DinkyTaskError):
        execute(task, new_context(task))
    retry = restart(method="steps")

    assert execute(retry, new_context(retry)) == 3


def test_of_two_starts_at_once_the_later_gives_way(
    sandbox: Sandbox, conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Starter.start

    def late(starter: Starter, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Starter, "start", begin)
        other = restart(wait_for="submitted")
        other.execute(new_context(other, run_id="other"))
        return begin(starter, *args, **kwargs)

    monkeypatch.setattr(Starter, "start", late)
    task = restart(dinky_conn_id=conn_id)

    with pytest.raises(RivalJobError, match="job instance 2.*beside job instance 1.*asked to cancel"):
        execute(task, new_context(task))
    first, second = sandbox.engine.jobs
    assert first.ended is None
    assert second.state in ("CANCELLING", "CANCELED")


@pytest.mark.parametrize("nonsense", [["s3://savepoints/1"], "latst", "savepoint-1"], ids=str)
def test_a_path_that_is_none_touches_nothing(sandbox: Sandbox, nonsense: Any) -> None:
    start()
    task = restart(savepoint_path=nonsense)
    with pytest.raises(DinkyTaskError, match="'signed_in': savepoint_path must be "):
        execute(task, new_context(task))
    (job,) = sandbox.engine.jobs
    assert (job.state, job.savepoints) == ("RUNNING", ())


def test_nonsense_touches_nothing(sandbox: Sandbox) -> None:
    task = restart("next {{ week }}")
    with pytest.raises(DinkyTaskError, match="dinky_task_id must be a positive whole number"):
        execute(task, new_context(task))
    with pytest.raises(ValueError, match="method must be one of"):
        restart(method="magic")
    assert not sandbox.requests
