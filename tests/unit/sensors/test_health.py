# SPDX-License-Identifier: Apache-2.0
"""The health sensor against a sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSkipException,
)

from airflow_provider_dinky.exceptions import DinkyTaskError, JobUnhealthyError
from airflow_provider_dinky.flink_view import FlinkView
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.jobs.wait_log import HEARTBEAT
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sensors import base
from airflow_provider_dinky.sensors.health import JobHealthSensor
from tests.airflow_task import StateStore, new_context
from tests.unit.sensors.conftest import clock_at
from tests.unit.streams import CHECKPOINTED, STREAM, running, until

MINUTE = 60.0


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[DinkyHook]:
    with DinkyHook("signed_in") as hook:
        yield hook


def sensor(**kwargs: Any) -> JobHealthSensor:
    return JobHealthSensor(
        **{
            "task_id": "health",
            "dinky_conn_id": "signed_in",
            "poke_interval": 0.02,
            "timeout": 5,
            **kwargs,
        }
    )


def looks(task: JobHealthSensor) -> list[tuple[bool, str]]:
    task.poke(new_context(task))
    return [(finding.ok, finding.sentence) for finding in task._findings]


def failure(task: JobHealthSensor) -> str:
    with pytest.raises(JobUnhealthyError) as raised:
        task.execute(new_context(task))
    return str(raised.value)


class TestHealthy:
    def test_it_waits_until_the_job_runs(self, hook: DinkyHook, conn_id: str) -> None:
        job = hook.submit_task(STREAM).job_instance_id
        task = sensor(dinky_task_id=str(STREAM), dinky_conn_id=conn_id)
        context = new_context(task)
        assert task.execute(context) == {
            "job_instance_id": job,
            "healthy": True,
            "findings": ["It is RUNNING"],
        }
        assert context["ti"].xcom["dinky_job_link"].endswith(f"id={job}")

    def test_all_checks(self, hook: DinkyHook) -> None:
        job = running(hook, CHECKPOINTED)
        task = sensor(
            job_instance_id=job.id,
            max_checkpoint_age=timedelta(minutes=5),
            max_restarts=0,
            restarts_within=60,
        )
        result = task.execute(new_context(task))
        assert result["healthy"] is True
        assert [sentence[:24] for sentence in result["findings"]] == [
            "It is RUNNING",
            "Its last checkpoint was ",
            "It failed 0 times within",
        ]
        json.dumps(result)

    def test_the_newest_job_of_a_task_counts(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        first = running(hook, STREAM)
        assert first.job_id is not None
        sandbox.kill_job(first.job_id)
        second = running(hook, STREAM)
        task = sensor(dinky_task_id=STREAM)
        assert task.execute(new_context(task))["job_instance_id"] == second.id

    def test_it_asks_for_nothing_that_it_does_not_need(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        job = running(hook, STREAM)
        task = sensor(job_instance_id=job.id, dinky_conn_id="anonymous")
        before = len(sandbox.requests)
        assert task.poke(new_context(task)) is True
        assert [request.path for request in sandbox.requests[before:]] == ["/openapi/getJobInstance"] * 2


class TestUnhealthy:
    def test_a_failed_job(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        job = running(hook, STREAM)
        assert job.job_id is not None
        sandbox.kill_job(job.job_id)
        said = failure(sensor(dinky_task_id=STREAM, timeout=0.1)).splitlines()
        assert said == [
            f"Job instance {job.id} of Dinky task 1 is not healthy after 0.1 s:",
            "It is FAILED, not RUNNING",
            f"Dinky: {sandbox.url}/#/devops/job-detail?id={job.id}",
        ]

    def test_a_task_that_never_ran(self, sandbox: Sandbox, conn_id: str) -> None:
        task = sensor(dinky_task_id=STREAM, dinky_conn_id=conn_id, timeout=0.1)
        assert failure(task) == "Job of Dinky task 1 is not healthy after 0.1 s:\nThere is no job"

    def test_no_checkpoint_any_more(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        job = running(hook, CHECKPOINTED)
        until(lambda: hook.get_flink_view(job.id).newest_checkpoint is not None)
        task = sensor(dinky_task_id=CHECKPOINTED, max_checkpoint_age=15)
        until(lambda: looks(task)[1][0])
        sandbox.fail_checkpoints()
        until(lambda: not looks(task)[1][0])
        assert "longer than the 15 s allowed" in looks(task)[1][1]

    def test_checkpointing_is_off(self, hook: DinkyHook) -> None:
        running(hook, STREAM)
        said = failure(sensor(dinky_task_id=STREAM, max_checkpoint_age=60, timeout=0.1))
        assert "It takes no checkpoints: checkpointing is off" in said
        assert "It is RUNNING" not in said

    def test_too_many_restarts(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        job = running(hook, CHECKPOINTED)
        assert job.job_id is not None
        for _ in range(2):
            sandbox.restart_job(job.job_id)
            until(lambda: hook.get_flink_view(job.id).state == "RUNNING")
        assert looks(sensor(dinky_task_id=CHECKPOINTED, max_restarts=2))[1][0] is True
        said = looks(sensor(dinky_task_id=CHECKPOINTED, max_restarts=1))
        assert said[1] == (False, "It failed 2 times within the last 60 min, more than the 1 allowed")

    def test_a_job_that_flink_restarts_does_not_run(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        job = running(hook, CHECKPOINTED)
        assert job.job_id is not None
        task = sensor(job_instance_id=job.id, max_restarts=9)
        sandbox.restart_job(job.job_id)
        assert looks(task)[0][1] in ("It is RESTARTING, not RUNNING", "It is RUNNING")
        until(lambda: looks(task)[0][0])

    def test_a_cluster_that_is_gone(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        running(hook, CHECKPOINTED)
        task = sensor(dinky_task_id=CHECKPOINTED, max_checkpoint_age=10 * MINUTE, max_restarts=3)
        until(lambda: all(ok for ok, _ in looks(task)))
        sandbox.kill_cluster()
        said = looks(task)
        assert not any(ok for ok, _ in said)

    def test_soft_fail_skips_and_says_why(self, sandbox: Sandbox) -> None:
        task = sensor(dinky_task_id=STREAM, soft_fail=True, timeout=0.1)
        with pytest.raises(AirflowSkipException, match="There is no job"):
            task.execute(new_context(task))

    def test_it_is_an_airflow_exception(self) -> None:
        assert issubclass(JobUnhealthyError, AirflowException)


class TestSigned:
    @pytest.fixture
    def direct(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        connection = {
            **json.loads(sandbox.anonymous_airflow_connection),
            "extra": {"allow_flink_rest": True},
        }
        monkeypatch.setenv("AIRFLOW_CONN_DIRECT", json.dumps(connection))
        return {"dinky_conn_id": "direct", "job_manager_address": f"{sandbox.host}:{sandbox.port}"}

    def test_out_with_flink(self, hook: DinkyHook, direct: dict[str, str]) -> None:
        running(hook, CHECKPOINTED)
        task = sensor(dinky_task_id=CHECKPOINTED, max_checkpoint_age=300, max_restarts=0, **direct)
        assert task.execute(new_context(task))["healthy"] is True

    def test_out_with_flink_away(self, hook: DinkyHook, direct: dict[str, str]) -> None:
        running(hook, CHECKPOINTED)
        task = sensor(
            dinky_task_id=CHECKPOINTED,
            max_restarts=0,
            timeout=0.1,
            **{**direct, "job_manager_address": "127.0.0.1:1"},
        )
        assert "Its restarts cannot be seen: " in failure(task)

    def test_out_without_flink_it_fails_at_once(self, hook: DinkyHook) -> None:
        running(hook, CHECKPOINTED)
        task = sensor(dinky_task_id=CHECKPOINTED, dinky_conn_id="anonymous", max_restarts=0)
        with pytest.raises(DinkyTaskError, match="user and password.*allow_flink_rest"):
            task.execute(new_context(task))


class TestFaults:
    def test_an_outage_is_no_verdict(
        self, hook: DinkyHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow_provider_dinky.client import blocking
        from airflow_provider_dinky.client.retry import NO_RETRY

        monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)
        job = running(hook, STREAM)
        task = sensor(job_instance_id=job.id)
        sandbox.fault("status", "getJobInstance", status=502)
        assert looks(task)[0][1].startswith("It cannot be looked at: connection 'signed_in'")
        assert task.execute(new_context(task))["healthy"] is True

    @pytest.mark.parametrize("which", ["job_instance_id", "dinky_task_id"])
    def test_an_unknown_id(self, sandbox: Sandbox, which: str) -> None:
        task = sensor(**{which: 999})
        with pytest.raises(DinkyTaskError, match="999: .*Not Exist"):
            task.execute(new_context(task))


class TestModes:
    def test_when_rescheduled_it_needs_no_memory(self, hook: DinkyHook, sandbox: Sandbox) -> None:
        def poke() -> bool:
            # Between two pokes there is another process.
            task = sensor(dinky_task_id=STREAM, mode="reschedule")
            return task.poke(new_context(task))

        assert poke() is False
        running(hook, STREAM)
        assert poke() is True

    def test_each_sentence_is_logged_once(
        self, hook: DinkyHook, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        task = sensor(dinky_task_id=STREAM)
        looks(task)
        looks(task)
        running(hook, STREAM)
        looks(task)
        looks(task)
        said = logged()
        assert said.count("Job of Dinky task 1: There is no job") == 1
        assert said.count("Job instance 1 of Dinky task 1: It is RUNNING") == 1

    def test_each_sentence_is_logged_once_when_rescheduled(
        self, hook: DinkyHook, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        store = StateStore()

        def poke() -> None:
            # Between two pokes there is another process.
            task = sensor(dinky_task_id=STREAM, mode="reschedule", max_checkpoint_age=600)
            task.poke(new_context(task, store=store))

        poke()
        poke()
        running(hook, STREAM)
        poke()
        poke()
        said = logged()
        assert said.count("Job of Dinky task 1: There is no job") == 1
        assert said.count("Job instance 1 of Dinky task 1: It is RUNNING") == 1
        assert said.count("checkpointing is off") == 1

    def test_one_line_a_poke_where_nothing_is_kept(
        self, hook: DinkyHook, sandbox: Sandbox, logged: Callable[[], str]
    ) -> None:
        running(hook, STREAM)
        for _ in range(2):
            task = sensor(dinky_task_id=STREAM, mode="reschedule", max_checkpoint_age=600)
            task.poke(new_context(task))
        assert logged().count("Job instance 1 of Dinky task 1: ") == 2

    def test_a_checkpoint_that_grows_older_is_no_news(
        self, hook: DinkyHook, sandbox: Sandbox, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running(hook, CHECKPOINTED)
        ages = iter((70_000, 80_000, 90_000, 90_000))

        def view(self: DinkyHook, *_: Any) -> FlinkView:
            return replace(flink, now=now + next(ages))

        until(lambda: hook.get_known_state(CHECKPOINTED).checkpoint is not None)
        flink = hook.get_flink_view(1)
        now = max(one.completed_at or 0 for one in flink.checkpoints)
        monkeypatch.setattr(DinkyHook, "get_flink_view", view)
        task, begun = sensor(dinky_task_id=CHECKPOINTED, max_checkpoint_age=60), time.time()
        for later in (0, HEARTBEAT / 2, HEARTBEAT + 1):
            monkeypatch.setattr(base, "time", clock_at(begun + later))
            task.poke(new_context(task))
        said = logged()
        assert said.count("Its last checkpoint was complete") == 2
        assert "90 s ago" in said


class TestParameters:
    @pytest.mark.parametrize("ids", [{}, {"dinky_task_id": 1, "job_instance_id": 1}])
    def test_one_of_both(self, ids: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="either job_instance_id or dinky_task_id"):
            sensor(**ids)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("max_checkpoint_age", 0),
            ("max_checkpoint_age", "soon"),
            ("restarts_within", -1),
            ("max_restarts", -1),
            ("max_restarts", True),
            ("max_restarts", 1.5),
        ],
    )
    def test_limits(self, field: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{field} must be"):
            sensor(dinky_task_id=1, **{field: value})

    def test_templates(self) -> None:
        task = sensor(dinky_task_id="{{ params.task }}")
        for field in task.template_fields:
            assert hasattr(task, field)
