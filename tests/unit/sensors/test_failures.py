# SPDX-License-Identifier: Apache-2.0
"""What a failure means for a sensor is the same in every mode: skipped under ``soft_fail``, else failed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_dinky.client import blocking
from airflow_provider_dinky.client.retry import NO_RETRY
from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sensors.dinky import JobHealthSensor, JobStatusSensor
from tests.airflow_task import execute, new_context

STREAM, REPORT, FAILING = 1, 2, 4
MODES: dict[str, dict[str, Any]] = {
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
FLAGS = {
    "plain": ({}, JobFailedError),
    "soft_fail": ({"soft_fail": True}, AirflowSkipException),
    "never_fail": ({"never_fail": True}, AirflowSkipException),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)
    if version("apache-airflow").startswith("2."):
        # Airflow 2 asks its database when a rescheduled sensor began; Airflow 3 asks the task instance.
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda *args, **kwargs: None)


def start(dinky_task_id: int) -> int:
    with DinkyHook("signed_in") as hook:
        return int(hook.submit_task(dinky_task_id).job_instance_id or 0)


def sensor(**kwargs: Any) -> JobStatusSensor:
    return JobStatusSensor(
        **{"task_id": "wait", "dinky_conn_id": "signed_in", "poke_interval": 0.02, "timeout": 60, **kwargs}
    )


def has_failed(sandbox: Sandbox, job: int) -> None:
    sandbox.kill_job(sandbox.engine.jobs[job - 1].jid)
    with DinkyHook("signed_in") as hook:
        assert hook.refresh_job_instance(job).status == "FAILED"


def run(task: Any, context: Any) -> Any:
    """As Airflow does; in reschedule mode the pokes that do not end the sensor are processes of their own."""
    if task.mode == "reschedule":
        context["ti"].get_first_reschedule_date = lambda context: None
    return execute(task, context)


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("mode", MODES)
class TestAFailedJob:
    def test_at_the_first_look(self, sandbox: Sandbox, mode: str, flag: str) -> None:
        settings, expected = FLAGS[flag]
        has_failed(sandbox, job := start(STREAM))
        task = sensor(job_instance_id=job, **MODES[mode], **settings)
        with pytest.raises(expected):
            run(task, new_context(task))

    def test_at_a_later_look(self, sandbox: Sandbox, mode: str, flag: str) -> None:
        settings, expected = FLAGS[flag]
        job = start(STREAM)
        task = sensor(job_instance_id=job, **MODES[mode], **settings)
        context = new_context(task)
        if mode == "deferrable":
            with pytest.raises(TaskDeferred):
                task.execute(context)
            task = sensor(job_instance_id=job, **MODES[mode], **settings)
            event = {"v": 1, "kind": "state", "job_instance_id": job, "job_id": None, "status": "FAILED"}
            has_failed(sandbox, job)
            with pytest.raises(expected):
                task.resume_execution("execute_complete", {"event": event}, context)
            return
        assert task.poke(context) is False
        has_failed(sandbox, job)
        with pytest.raises(expected):
            run(task, context)


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize("mode", MODES)
class TestSoftFail:
    def test_what_no_retry_can_mend(self, sandbox: Sandbox, mode: str, soft_fail: bool) -> None:
        for ids in ({"job_instance_id": 999}, {"job_instance_id": "None"}):
            task = sensor(**ids, **MODES[mode], soft_fail=soft_fail)
            with pytest.raises(AirflowSkipException if soft_fail else AirflowFailException):
                run(task, new_context(task))

    def test_what_a_retry_can_mend(self, sandbox: Sandbox, mode: str, soft_fail: bool) -> None:
        job = start(STREAM)
        sandbox.fault("body", "getJobInstance", count=None, body="<html>")
        task = sensor(job_instance_id=job, **MODES[mode], soft_fail=soft_fail)
        with pytest.raises(AirflowSkipException if soft_fail else DinkyTaskError) as raised:
            run(task, new_context(task))
        assert not isinstance(raised.value, AirflowFailException)

    def test_the_time_is_up(self, sandbox: Sandbox, mode: str, soft_fail: bool) -> None:
        job = start(STREAM)
        task = sensor(job_instance_id=job, **MODES[mode], timeout=0, soft_fail=soft_fail)
        context, expected = new_context(task), AirflowSkipException if soft_fail else AirflowSensorTimeout
        if mode != "deferrable":
            with pytest.raises(expected):
                run(task, context)
            return
        with pytest.raises(expected, match="job instance 1.* is [A-Z]+ and not finished after the sensor's"):
            task.resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    def test_a_job_of_a_task_may_be_followed_by_a_better_one(
        self, sandbox: Sandbox, mode: str, soft_fail: bool
    ) -> None:
        has_failed(sandbox, start(STREAM))
        task = sensor(dinky_task_id=STREAM, newer_than_job_instance_id=0, **MODES[mode], soft_fail=soft_fail)
        with pytest.raises(AirflowSkipException if soft_fail else JobFailedError) as raised:
            run(task, new_context(task))
        assert not isinstance(raised.value, AirflowFailException)


def test_the_run_that_was_named_is_not_tried_again(sandbox: Sandbox) -> None:
    has_failed(sandbox, job := start(STREAM))
    task = sensor(job_instance_id=job, deferrable=False)
    with pytest.raises(AirflowFailException):
        run(task, new_context(task))


def test_an_event_about_what_dinky_does_not_know_is_not_tried_again(sandbox: Sandbox) -> None:
    task = sensor(job_instance_id=1, deferrable=True)
    event = {
        "v": 1,
        "kind": "unreadable",
        "job_instance_id": 1,
        "error": "x",
        "error_type": "DinkyNotFoundError",
    }
    with pytest.raises(AirflowFailException):
        task.resume_execution("execute_complete", {"event": event}, new_context(task))
    old = {"v": 1, "kind": "unreadable", "job_instance_id": 1, "error": "of an earlier version"}
    with pytest.raises(DinkyTaskError) as raised:
        task.resume_execution("execute_complete", {"event": old}, new_context(task))
    assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_health_sensor_does_the_same(sandbox: Sandbox, mode: str, soft_fail: bool) -> None:
    task = JobHealthSensor(
        task_id="h", dinky_task_id=999, dinky_conn_id="signed_in", mode=mode, soft_fail=soft_fail
    )
    with pytest.raises(AirflowSkipException if soft_fail else AirflowFailException, match="Not Exist"):
        run(task, new_context(task))
