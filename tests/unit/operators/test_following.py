# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for a job on a worker or in the triggerer goes by the same rules, from the first look on."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.client import blocking
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.exceptions import DinkyFinalError, DinkyTaskError, JobFailedError, JobTimeoutError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.jobs import follower as rules
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from tests.airflow_task import execute, new_context

STREAM, REPORT = 1, 2
LOOK = "getJobInstance"
OUTAGES: list[dict[str, Any]] = [
    {"kind": "body", "body": "<html><h1>a proxy's page</h1></html>"},
    {"kind": "status", "status": 502},
    {"kind": "reset"},
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own patience is a minute."""
    monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)


def operator(**settings: Any) -> SubmitTaskOperator:
    return SubmitTaskOperator(
        **{
            "task_id": "t",
            "dinky_task_id": REPORT,
            "dinky_conn_id": "signed_in",
            "wait_for": "finished",
            "poll_interval": 0.02,
            **settings,
        }
    )


def breaks_off_after_the_submit(sandbox: Sandbox, task: Any, **fault: Any) -> None:
    """The first look after the submit is the first thing that fails."""
    follow = task._follow

    def fail(*args: Any, **kwargs: Any) -> Any:
        details = dict(fault)
        sandbox.fault(details.pop("kind"), details.pop("path", LOOK), **details)
        return follow(*args, **kwargs)

    task._follow = fail


@pytest.mark.parametrize("fault", OUTAGES, ids=str)
def test_an_outage_from_the_first_look_on_is_waited_out(
    sandbox: Sandbox, conn_id: str, deferrable: bool, fault: dict[str, Any]
) -> None:
    task = operator(dinky_conn_id=conn_id, deferrable=deferrable)
    breaks_off_after_the_submit(sandbox, task, count=4, **fault)

    assert execute(task, new_context(task)) == 1
    assert len(sandbox.engine.jobs) == 1


def test_one_that_does_not_end_is_told_with_its_length_and_what_came_instead(
    sandbox: Sandbox, conn_id: str, deferrable: bool
) -> None:
    task = operator(dinky_conn_id=conn_id, deferrable=deferrable)
    task.max_outage = 0.3
    breaks_off_after_the_submit(sandbox, task, path="", count=None, **OUTAGES[0])

    with pytest.raises(DinkyTaskError, match="could not be followed: no answer for 0 s: .*a proxy's page"):
        execute(task, new_context(task))
    assert sandbox.engine.jobs[0].state == "RUNNING" or sandbox.engine.jobs[0].state == "FINISHED"


def test_a_job_that_dinky_does_not_know_any_more_is_final_at_once(
    sandbox: Sandbox, conn_id: str, deferrable: bool
) -> None:
    task = operator(dinky_conn_id=conn_id, deferrable=deferrable)
    unknown = '{"code": 1, "msg": "Job Instance Not Exist", "data": null, "success": false}'
    breaks_off_after_the_submit(sandbox, task, kind="body", path="nstance", count=None, body=unknown)
    with pytest.raises(DinkyTaskError, match="Not Exist"):
        execute(task, new_context(task))


def test_a_wrong_password_is_not_tried_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = sandbox.airflow_connection.replace('"password": "', '"password": "not ')
    assert wrong != sandbox.airflow_connection
    monkeypatch.setenv("AIRFLOW_CONN_SIGNED_IN", wrong)
    with pytest.raises(DinkyFinalError):
        execute(task := operator(), new_context(task))


@pytest.mark.parametrize("fault", OUTAGES, ids=str)
def test_a_deferral_that_times_out_while_the_job_cannot_be_looked_at_stops_it(
    sandbox: Sandbox, conn_id: str, fault: dict[str, Any]
) -> None:
    task = operator(
        dinky_task_id=STREAM, dinky_conn_id=conn_id, wait_for="submitted", cancel_on_kill="cancel"
    )
    context = new_context(task)
    execute(task, context)
    fresh = operator(dinky_task_id=STREAM, dinky_conn_id=conn_id, cancel_on_kill="cancel", timeout=60)
    details = dict(fault)
    sandbox.fault(details.pop("kind"), f"{LOOK}", count=1, **details)

    with pytest.raises(JobTimeoutError, match="cannot be looked at.*Dinky was asked to cancel"):
        fresh.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    with DinkyHook("signed_in") as hook:
        hook.refresh_job_instance(1)
    assert sandbox.engine.jobs[0].state in ("CANCELED", "CANCELLING")


class TestGone:
    """The cluster is restarted without high availability: Flink says that it does not know the job."""

    def test_a_wait_for_it_fails_at_once(
        self, sandbox: Sandbox, deferrable: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rules, "CONFIRM_AFTER", 0.1)
        task = operator(dinky_task_id=STREAM, deferrable=deferrable)
        cluster_is_restarted(sandbox, task, survives=False)
        with pytest.raises(
            JobFailedError, match="is UNKNOWN: Flink does not know job .* any more: the cluster"
        ):
            execute(task, new_context(task))

    def test_one_that_comes_back_is_followed_on(
        self, sandbox: Sandbox, deferrable: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = operator(dinky_task_id=REPORT, deferrable=deferrable)
        cluster_is_restarted(sandbox, task, survives=True)
        assert execute(task, new_context(task)) == 1


def cluster_is_restarted(sandbox: Sandbox, task: Any, *, survives: bool) -> None:
    """Between the submit and the first look, and Dinky has said UNKNOWN since."""
    follow = task._follow

    def restart(context: Any, job: Any, **kwargs: Any) -> Any:
        sandbox.kill_cluster()
        sandbox.revive_cluster(jobs_survive=survives)
        sandbox.set_status(job.job_instance_id, "UNKNOWN")
        return follow(context, job, **kwargs)

    task._follow = restart
