# SPDX-License-Identifier: Apache-2.0
"""Whether Flink still knows a job that Dinky calls UNKNOWN, asked over real sockets."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.models import SubmitResult
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER, UnknownJob
from airflow_provider_dinky.operations.inspect_job import confirm_gone
from airflow_provider_dinky.sandbox import Sandbox


class Asked:
    """Runs the procedure; its pause is the moment at which a test changes the world."""

    def __init__(self, config: DinkyConfig, sandbox: Sandbox) -> None:
        self.client = DinkyClient(config)
        self.sandbox = sandbox
        self.pauses: list[float] = []

    def ask(
        self, instance_id: int, address: str | None = None, *, meanwhile: str | None = None
    ) -> UnknownJob:
        def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            if meanwhile is not None:
                getattr(self.sandbox, meanwhile)()

        with self.client as client:
            return client.run(confirm_gone(client.config, instance_id, None, address), sleep=pause)


@pytest.fixture
def started(sandbox: Sandbox) -> SubmitResult:
    """A job that Dinky has called UNKNOWN since its cluster was killed."""
    with DinkyHook("signed_in") as hook:
        result = hook.submit_task(1)
        assert result.job_instance_id is not None
        sandbox.kill_cluster()
        deadline = time.monotonic() + 60
        while hook.get_job_instance(result.job_instance_id).status != JobStatus.UNKNOWN:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return result


@pytest.fixture
def unknown(started: SubmitResult) -> int:
    """Its id."""
    assert started.job_instance_id is not None
    return started.job_instance_id


def config(name: str, *, rest: bool = False) -> DinkyConfig:
    return replace(DinkyHook(name).config, allow_flink_rest=rest)


def test_gone_when_flink_says_so_twice(sandbox: Sandbox, unknown: int) -> None:
    sandbox.revive_cluster(jobs_survive=False)
    asked = Asked(config("signed_in"), sandbox)
    seen = asked.ask(unknown)
    assert seen.is_gone
    assert seen.status == JobStatus.UNKNOWN
    assert seen.job_id
    assert seen.job_id in seen.reason
    assert asked.pauses == [CONFIRM_AFTER]


def test_not_gone_while_the_cluster_cannot_be_reached(sandbox: Sandbox, unknown: int) -> None:
    asked = Asked(config("signed_in", rest=True), sandbox)
    seen = asked.ask(unknown)
    assert not seen.is_gone
    assert seen.status == JobStatus.UNKNOWN
    assert not asked.pauses
    assert seen.job_manager_address
    assert seen.job_manager_address in seen.reason


def test_one_answer_is_not_enough(sandbox: Sandbox, unknown: int) -> None:
    sandbox.revive_cluster(jobs_survive=False)
    asked = Asked(config("signed_in"), sandbox)
    assert not asked.ask(unknown, meanwhile="kill_cluster").is_gone
    assert asked.pauses == [CONFIRM_AFTER]


def test_a_job_in_sight_again_is_told_as_such(sandbox: Sandbox, unknown: int) -> None:
    sandbox.revive_cluster()
    seen = Asked(config("signed_in"), sandbox).ask(unknown)
    assert seen.status == JobStatus.RUNNING
    assert not seen.is_gone


def test_anonymous_flinks_rest_tells_where_it_is_allowed(
    sandbox: Sandbox, unknown: int, started: SubmitResult
) -> None:
    sandbox.revive_cluster(jobs_survive=False)
    address = started.job_manager_address
    assert Asked(config("anonymous", rest=True), sandbox).ask(unknown, address).is_gone
    assert not Asked(config("anonymous", rest=False), sandbox).ask(unknown, address).is_gone
    assert not Asked(config("anonymous", rest=True), sandbox).ask(unknown, None).is_gone
