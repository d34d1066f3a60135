# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, RivalJobError, StateLostError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import RestartTaskOperator, SubmitTaskOperator
from airflow_provider_dinky.pace import Pace
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.submission import Starter
from tests.airflow_task import StateStore, execute, new_context

STREAM, REPORT, PAYMENTS, CHECKPOINTED = 1, 2, 7, 10
SPEED = 60
ON_THE_SANDBOXS_CLOCK = Pace(lambda: time.time() * SPEED, lambda seconds: time.sleep(seconds / SPEED))


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


def start(dinky_task_id: int = STREAM, run_id: str = "earlier", **kwargs: Any) -> int:
    task = SubmitTaskOperator(
        task_id="start",
        dinky_task_id=dinky_task_id,
        dinky_conn_id="signed_in",
        poll_interval=0.02,
        deferrable=False,
        **kwargs,
    )
    return int(execute(task, new_context(task, run_id=run_id)))


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


class TestMethod:
    def test_takes_the_steps_unless_told_otherwise(self, sandbox: Sandbox, conn_id: str) -> None:
        start()
        task = restart(dinky_conn_id=conn_id)
        execute(task, new_context(task, store=StateStore()))
        assert used(sandbox) == "steps"

    def test_auto_is_gone_and_the_error_names_what_replaces_it(self) -> None:
        with pytest.raises(ValueError, match="method='auto' is gone.*'steps'.*'endpoint'"):
            restart(method="auto")

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

    def test_a_restart_of_dinkys_own_without_state_fails_and_is_not_retried(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dinky loses sight of the job just before, and takes that for a job that was stopped."""
        start()
        ask = DinkyHook.restart_task

        def lost(hook: DinkyHook, *args: Any) -> Any:
            sandbox.set_status(1, "UNKNOWN")
            return ask(hook, *args)

        monkeypatch.setattr(DinkyHook, "restart_task", lost)
        task = restart(method="endpoint")

        with pytest.raises(StateLostError, match="WITHOUT its state.*Job instance 2 runs"):
            execute(task, new_context(task, store=StateStore()))
        assert sandbox.engine.jobs[-1].resumed_from is None

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


REFUSED = json.dumps(
    {
        "code": 1,
        "msg": "Config key [state.savepoints.dir] is not set. Property [targetDirectory] must be provided.",
        "data": None,
        "success": False,
    }
)


def test_a_plain_refusal_of_the_endpoint_is_final_at_once(sandbox: Sandbox, conn_id: str) -> None:
    start()
    sandbox.fault("body", "/restartTask", body=REFUSED, content_type="application/json", count=None)
    task = restart(dinky_conn_id=conn_id, method="endpoint")
    task._pace = lambda: Pace(sleep=lambda seconds: pytest.fail("there is nothing to wait for"))

    with pytest.raises(
        DinkyTaskError, match=r"state\.savepoints\.dir[\s\S]*Job instance 1 runs on untouched"
    ):
        execute(task, new_context(task))
    assert states(sandbox) == ["RUNNING"]


class TestOfATaskThatDoesNotRun:
    """What its last job has left is not thrown away in silence."""

    @staticmethod
    def ended(sandbox: Sandbox, how: str, dinky_task_id: int = CHECKPOINTED) -> str | None:
        """Let the task's job end; the path of its newest state."""
        start(dinky_task_id)
        with DinkyHook("signed_in") as hook:
            known = None
            while known is None and dinky_task_id == CHECKPOINTED:
                known = hook.get_known_state(dinky_task_id).newest
                time.sleep(0.02)
            if how == "FAILED":
                sandbox.kill_job(sandbox.engine.jobs[-1].jid)
            elif how == "CANCELED":
                hook.cancel_task(dinky_task_id)
            elif how == "gone":
                sandbox.restart_cluster(high_availability=False)
            else:
                hook.trigger_savepoint(dinky_task_id, "stop")
            awaited = {"gone": "UNKNOWN", "stopped": "FINISHED"}.get(how, how)
            while (last := hook.refresh_job_instance(len(sandbox.engine.jobs))).status != awaited:
                time.sleep(0.02)
            newest = hook.get_known_state(last.dinky_task_id or 0).newest
            return newest.path if newest else None

    @pytest.mark.parametrize("how", ["FAILED", "CANCELED", "stopped", "gone"])
    def test_its_newest_state_is_gone_on_from(
        self, sandbox: Sandbox, how: str, logged: Callable[[], str]
    ) -> None:
        newest = self.ended(sandbox, how)
        assert newest is not None
        task = restart(CHECKPOINTED)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK
        context = new_context(task)

        execute(task, context)
        assert sandbox.engine.jobs[-1].resumed_from == newest == context["ti"].xcom["savepoint_path"]
        assert f"latest-state is {'savepoint' if how == 'stopped' else 'checkpoint'} {newest}" in logged()

    @pytest.mark.parametrize("how", ["FAILED", "CANCELED"])
    def test_without_any_it_is_asked_for(self, sandbox: Sandbox, how: str) -> None:
        self.ended(sandbox, how, STREAM)
        task = restart()
        with pytest.raises(DinkyTaskError, match=f"job instance 1, is {how}, and no state of it is known"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

        fresh = restart(if_no_state="fresh")
        execute(fresh, new_context(fresh, run_id="fresh"))
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_where_nobody_may_look_it_is_asked_for(self, sandbox: Sandbox) -> None:
        self.ended(sandbox, "stopped")
        task = restart(CHECKPOINTED, dinky_conn_id="anonymous")
        with pytest.raises(DinkyTaskError, match="not visible without credentials.*if_no_state='fresh'"):
            execute(task, new_context(task))
        assert len(sandbox.engine.jobs) == 1

        fresh = restart(CHECKPOINTED, dinky_conn_id="anonymous", if_no_state="fresh")
        execute(fresh, new_context(fresh, run_id="fresh"))
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_one_that_never_ran_is_a_plain_start(self, sandbox: Sandbox, conn_id: str) -> None:
        task = restart(REPORT, dinky_conn_id=conn_id)
        execute(task, new_context(task))
        (job,) = sandbox.engine.jobs
        assert job.resumed_from is None

    def test_a_batch_is_started_again(self, sandbox: Sandbox) -> None:
        start(REPORT, wait_for="finished")
        task = restart(REPORT)
        execute(task, new_context(task))
        # A bounded job, which on a busy machine has ended by now.
        assert sandbox.engine.jobs[-1].state in ("RUNNING", "FINISHED")
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_a_batch_whose_end_nobody_may_see_is_asked_for(self, sandbox: Sandbox) -> None:
        start(REPORT, wait_for="finished")
        task = restart(REPORT, dinky_conn_id="anonymous")
        with pytest.raises(DinkyTaskError, match="whether a savepoint ended it is not visible"):
            execute(task, new_context(task))

    def test_the_endpoint_does_what_dinky_does(self, sandbox: Sandbox, conn_id: str) -> None:
        self.ended(sandbox, "stopped")
        task = restart(CHECKPOINTED, dinky_conn_id=conn_id, method="endpoint")
        execute(task, new_context(task))
        assert sandbox.engine.jobs[-1].resumed_from is None

    def test_the_variables_of_the_last_job_go_with_its_state(self, sandbox: Sandbox) -> None:
        start(PAYMENTS, variables={"region": "EU"})
        with DinkyHook("signed_in") as hook:
            hook.trigger_savepoint(PAYMENTS, "stop")
            while hook.refresh_job_instance(1).status.is_active:
                time.sleep(0.02)
        task = restart(PAYMENTS)
        execute(task, new_context(task))
        assert sandbox.engine.jobs[-1].variables["region"] == "EU"


class TestUnknown:
    """Dinky does not see the job any more."""

    def out_of_sight(self, sandbox: Sandbox) -> None:
        start(CHECKPOINTED)
        sandbox.kill_cluster()
        with DinkyHook("signed_in") as hook:
            while hook.refresh_job_instance(1).status != "UNKNOWN":
                time.sleep(0.05)

    def test_is_not_restarted_while_its_cluster_cannot_be_reached(
        self, sandbox: Sandbox, conn_id: str
    ) -> None:
        self.out_of_sight(sandbox)
        task = restart(CHECKPOINTED, dinky_conn_id=conn_id)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        assert "job instance 1 is UNKNOWN: Dinky lost sight of the job, which may" in str(failure.value)
        assert "Nothing was touched" in str(failure.value)
        if conn_id == "signed_in":
            assert f"cluster at 127.0.0.1:{sandbox.port}" in str(failure.value)
        assert len(sandbox.engine.jobs) == 1

    def test_is_started_knowingly_if_told_so(self, sandbox: Sandbox, logged: Callable[[], str]) -> None:
        start()
        sandbox.kill_cluster()
        sandbox.revive_cluster(jobs_survive=False)
        sandbox.set_status(1, "UNKNOWN")
        task = restart(dinky_conn_id="anonymous", if_unknown="start", if_no_state="fresh")
        execute(task, new_context(task))
        assert states(sandbox)[-1] == "RUNNING"
        assert "it counts as ended, as if_unknown='start' says" in logged()


WITH_ANOTHER_AGGREGATE = """\
SET 'execution.checkpointing.interval' = '10 s';
CREATE TABLE orders (customer STRING, amount DOUBLE) WITH ('connector'='datagen','rows-per-second'='5');
CREATE TABLE turnover_of_customer (customer STRING, amount DOUBLE, orders BIGINT) WITH ('connector'='blackhole');
INSERT INTO turnover_of_customer SELECT customer, SUM(amount), COUNT(amount) FROM orders GROUP BY customer;"""


class TestANewJobThatNeverWorks:
    """Flink says RUNNING of it, but its tasks never run."""

    def test_its_state_does_not_fit_so_the_old_job_goes_on(self, sandbox: Sandbox, deferrable: bool) -> None:
        start(CHECKPOINTED)
        with DinkyHook("signed_in") as hook:
            other = hook.trigger_savepoint(CHECKPOINTED, "stop").path
            while hook.refresh_job_instance(1).status.is_active:
                time.sleep(0.02)
        sandbox.change_sql(CHECKPOINTED, WITH_ANOTHER_AGGREGATE)
        start(CHECKPOINTED, "with other SQL")
        task = restart(CHECKPOINTED, savepoint_path=other, deferrable=deferrable)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        old, bad, again = sandbox.engine.jobs[1:]
        assert bad.ended is not None
        assert again.state == "RUNNING"
        assert again.resumed_from == old.savepoints[-1]
        assert "StateMigrationException" in str(failure.value)
        assert "job instance 4 runs as before the restart" in str(failure.value)

    def test_nor_does_the_one_just_taken_which_is_said(self, sandbox: Sandbox) -> None:
        start(CHECKPOINTED)
        sandbox.change_sql(CHECKPOINTED, WITH_ANOTHER_AGGREGATE)
        task = restart(CHECKPOINTED)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        (path,) = sandbox.engine.jobs[0].savepoints
        assert "runs as before" not in str(failure.value)
        assert "that did not help: Job instance 3" in str(failure.value)
        assert f"take back what was changed, and resume it from {path}" in str(failure.value)

    def test_no_free_slot(self, sandbox: Sandbox) -> None:
        start()
        sandbox.free_slots(False)
        task = restart(timeout=3)
        task._pace = lambda: ON_THE_SANDBOXS_CLOCK

        with pytest.raises(DinkyTaskError) as failure:
            execute(task, new_context(task))
        old, _, again = sandbox.engine.jobs
        assert again.resumed_from == old.savepoints[-1]
        assert "and not running after 3 s" in str(failure.value)
        assert re.search(
            "started again from the savepoint just taken, .*0 of 1 tasks run", str(failure.value)
        )


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
