# SPDX-License-Identifier: Apache-2.0
"""Jobs that run behind the newest one of their task, as far as a connection can see them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.models import JobInstance, SubmitResult
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.operations.concurrent import MAX_LOOKS, OlderJobs, older_jobs, walk_down
from airflow_provider_dinky.sandbox import Sandbox

STREAM, REPORT = 1, 2


class Two:
    """Two jobs of one task were started, and the newer one was cancelled."""

    def __init__(self, sandbox: Sandbox, *, between: int = 0) -> None:
        self.sandbox = sandbox
        with DinkyHook("signed_in") as hook:
            self.older = hook.submit_task(STREAM)
            for _ in range(between):
                hook.submit_task(REPORT)
            self.newer = hook.submit_task(STREAM)
            hook.cancel_task(STREAM)
        assert sandbox.engine.jobs[0].ended is None

    def found(self, name: str, address: str | None = None) -> OlderJobs:
        with DinkyHook(name) as hook:
            config = replace(hook.config, allow_flink_rest=address is not None)
            newest = hook.get_latest_job_instance(STREAM)
            assert isinstance(newest, JobInstance)
            assert newest.id == self.newer.job_instance_id
            return hook.client.run(older_jobs(config, STREAM, newest, address))


def _is(found: OlderJobs, job: SubmitResult) -> bool:
    (one,) = found.running
    return (one.job_instance_id, one.job_id) == (job.job_instance_id, job.job_id)


def test_signed_in_by_dinkys_list(sandbox: Sandbox) -> None:
    two = Two(sandbox)
    found = two.found("signed_in")
    assert _is(found, two.older)
    assert found.running[0].job_manager_address == two.older.job_manager_address
    assert found.not_visible is None


@pytest.mark.parametrize("between", [0, 12])
def test_anonymous_by_the_instances_below_the_newest(sandbox: Sandbox, between: int) -> None:
    two = Two(sandbox, between=between)
    before = len(sandbox.requests)
    found = two.found("anonymous")
    assert _is(found, two.older)
    assert found.not_visible is None, "all were looked at"
    assert len(sandbox.requests) - before <= MAX_LOOKS + 1


def test_anonymous_says_what_it_did_not_look_at(sandbox: Sandbox) -> None:
    two = Two(sandbox, between=MAX_LOOKS + 3)
    found = two.found("anonymous")
    assert found.running == ()
    assert (
        found.not_visible == f"job instances of the task older than {two.newer.job_instance_id - MAX_LOOKS}"
    )  # type: ignore[operator]


@pytest.mark.parametrize("between", [0, MAX_LOOKS + 3])
def test_anonymous_by_flinks_list_of_jobs(sandbox: Sandbox, between: int) -> None:
    two = Two(sandbox, between=between)
    address = two.older.job_manager_address
    (one,) = (found := two.found("anonymous", address)).running
    assert one.job_id == two.older.job_id
    assert one.job_manager_address == address
    # Whose it is, is proved by a job instance only.
    assert one.job_instance_id == (two.older.job_instance_id if between == 0 else None)
    assert f"other Flink clusters than {address}" in str(found.not_visible)


@pytest.mark.parametrize("rest", [True, False])
def test_none_runs(sandbox: Sandbox, rest: bool) -> None:
    two = Two(sandbox)
    jid = str(two.older.job_id)
    sandbox.finish_job(jid)
    sandbox.set_status(two.older.job_instance_id, "FINISHED")  # type: ignore[arg-type]
    assert two.found("signed_in").running == ()
    assert two.found("anonymous", two.older.job_manager_address if rest else None).running == ()


def walked(existing: set[int], top: int, bottom: int = 0) -> list[int]:
    walk, looked_at = walk_down(top, bottom), []
    try:
        wanted = next(walk)
        while True:
            looked_at.append(wanted)
            wanted = walk.send(wanted in existing)
    except StopIteration:
        return looked_at


class TestWalkDown:
    @given(st.sets(st.integers(1, 400)), st.integers(1, 400), st.integers(0, 400))
    def test_never_more_than_so_many_and_none_twice(self, existing: set[int], top: int, bottom: int) -> None:
        looked_at = walked(existing, top, bottom)
        assert len(looked_at) <= MAX_LOOKS
        assert len(set(looked_at)) == len(looked_at)
        assert all(bottom < one < top for one in looked_at)

    @given(st.integers(0, 120), st.integers(0, 3))
    def test_finds_what_is_just_behind_a_gap(self, gap: int, since: int) -> None:
        last = 1_000
        newest = last + gap + since + 1
        existing = set(range(last - 200, last + 1)) | set(range(last + gap + 1, newest))
        assert last in walked(existing, newest)

    @given(st.integers(1, MAX_LOOKS))
    def test_without_a_gap_it_goes_one_by_one(self, count: int) -> None:
        assert walked(set(range(1, 1_000)), 1_000)[:count] == list(range(999, 999 - count, -1))
