# SPDX-License-Identifier: Apache-2.0
"""Processes of a real Flink die: Dinky's states come as they were recorded, and the state of the jobs survives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from tests.airflow_task import execute, new_context

from .conftest import until
from .orders import rows, sums, wait_for

STREAM, REPORT = TURNOVER_STREAM, 2


def start(turnover: Path, rows: int = 5) -> int:
    task = SubmitTaskOperator(task_id="start", dinky_task_id=STREAM, poll_interval=0.1, deferrable=False)
    job = int(execute(task, new_context(task)))
    wait_for(turnover, rows)
    return job


def task_managers(flink: FlinkRuntime) -> list[str]:
    """The ids of those that the job manager knows."""
    return [str(one["id"]) for one in flink.rest.ask_blocking("/taskmanagers")["taskmanagers"]]


def sensor(job: int) -> JobStatusSensor:
    return JobStatusSensor(
        task_id="wait",
        job_instance_id=job,
        poke_interval=0.1,
        timeout=120,
        unknown_timeout=1,
        deferrable=False,
    )


@contextmanager
def states_of(job: int) -> Iterator[list[str]]:
    """What Dinky says meanwhile, each change once."""
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        with DinkyHook() as hook:
            while not done.wait(0.05):
                state = str(hook.get_job_instance(job).status)
                if seen[-1:] != [state]:
                    seen.append(state)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        until(lambda: seen)
        yield seen
    finally:
        done.set()
        thread.join()


def test_lost_task_manager(sandbox: Sandbox, turnover: Path) -> None:
    job = start(turnover)
    with states_of(job) as seen:
        sandbox.lose_task_manager()
        with pytest.raises(JobFailedError, match=r"is FAILED: .*(TaskManager|Connection|taskmanager)"):
            execute(sensor(job), new_context(sensor(job)))
        until(lambda: seen[-1:] == ["FAILED"])
    assert seen == ["RUNNING", "FAILED"]


def test_slots_of_a_lost_task_manager_are_not_waited_for(flink: FlinkRuntime, sandbox: Sandbox) -> None:
    """The job manager lists them for a second or so; a job that was promised one of them might wait in vain."""
    assert flink.cluster is not None
    (lost,) = task_managers(flink)
    sandbox.lose_task_manager()
    flink.cluster.wait_until_alive()
    (new,) = task_managers(flink)
    assert new != lost


def test_lost_job_manager_that_comes_back_with_its_jobs(sandbox: Sandbox, turnover: Path) -> None:
    job = start(turnover)
    with states_of(job) as seen, DinkyHook() as hook:
        sandbox.kill_cluster()
        until(lambda: seen[-1:] == ["UNKNOWN"])
        assert seen == ["RUNNING", "RECONNECTING", "UNKNOWN"]
        assert "Connection refused" in str(hook.get_job_instance(job).error)
        with pytest.raises(JobFailedError, match="Dinky lost sight of the job.*Connection refused"):
            execute(sensor(job), new_context(sensor(job)))

        before = len(rows(turnover))
        sandbox.revive_cluster()
        wait_for(turnover, before + 10)
        assert seen[-1:] == ["UNKNOWN"], "Dinky looks again only when it is asked to"
        assert str(hook.refresh_job_instance(job).status) == "RUNNING"
    written = rows(turnover)
    assert written == sums(len(written))


def test_lost_job_manager_that_comes_back_without_its_jobs(sandbox: Sandbox, turnover: Path) -> None:
    job = start(turnover)
    with states_of(job) as seen, DinkyHook() as hook:
        sandbox.kill_cluster()
        until(lambda: seen[-1:] == ["UNKNOWN"])
        sandbox.revive_cluster(jobs_survive=False)
        until(lambda: [record.state for record in sandbox.engine.jobs] == ["LOST"])
        assert str(hook.refresh_job_instance(job).status) in ("RECONNECTING", "UNKNOWN")


def test_nothing_can_be_submitted_meanwhile(sandbox: Sandbox) -> None:
    sandbox.kill_cluster()
    task = SubmitTaskOperator(task_id="start", dinky_task_id=REPORT, poll_interval=0.1, deferrable=False)
    began = time.monotonic()
    with pytest.raises(DinkyTaskError, match="Connection refused"):
        execute(task, new_context(task))
    assert time.monotonic() - began < 60


def test_what_only_the_simulated_engine_does_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError, match="only the simulated engine .* not FlinkEngine"):
        sandbox.fail_savepoints()
