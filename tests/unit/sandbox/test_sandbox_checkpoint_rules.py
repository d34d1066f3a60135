# SPDX-License-Identifier: Apache-2.0
"""What holds of a job's checkpoints whatever happens to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.sandbox.checkpoints import Snapshot, restores, snapshots
from airflow_provider_dinky.sandbox.engine import Submission
from airflow_provider_dinky.sandbox.java import Throwable
from airflow_provider_dinky.sandbox.simulated_job import (
    Failover,
    Origin,
    Outages,
    SimulatedJob,
    TakenSavepoint,
)
from airflow_provider_dinky.sandbox.tasks import RETENTIONS, TaskSpec

moments = st.floats(0.0, 200.0)


@st.composite
def jobs(draw: st.DrawFn) -> SimulatedJob:
    """A job that was started at 0 and to which things happen within the next 200 seconds."""
    every = draw(st.none() | st.floats(1.0, 50.0))
    task = TaskSpec(1, "a", checkpoint_every=every, retain_checkpoints=draw(st.sampled_from(RETENTIONS)))
    outages = Outages()
    for on, moment in enumerate(sorted(draw(st.lists(moments, max_size=4)))):
        outages.switch(on % 2 == 0, moment)
    origin = draw(st.none() | st.builds(Origin, st.just("file:/before"), st.integers(1, 9)))
    job = SimulatedJob("ab", Submission(task, ""), 0.0, 1.0, 1.0, "file:/c", outages, origin)
    for moment in sorted(draw(st.lists(moments, max_size=4))):
        job.survived.append(Failover(moment, moment + 5.0, Throwable("java.lang.Exception", "")))
    if draw(st.booleans()):
        job.end(draw(moments), draw(st.sampled_from(["FINISHED", "FAILED", "CANCELED", "LOST"])))
    last = job.until(200.0)
    for number, moment in enumerate(sorted(draw(st.lists(moments, max_size=3)))):
        if moment <= last:
            job.savepoints.append(TakenSavepoint(f"file:/s-{number}", moment))
    return job


def checkpoints(found: list[Snapshot]) -> list[Snapshot]:
    return [one for one in found if one.path is not None and not one.is_savepoint]


@given(jobs(), moments)
def test_at_most_one_checkpoint_is_there_and_it_is_the_newest(job: SimulatedJob, now: float) -> None:
    job.savepoints = [one for one in job.savepoints if one.taken <= now]
    found = checkpoints(snapshots(job, now))
    assert all(one.discarded for one in found[:-1])
    if job.ended(now) is None and found:
        assert not found[-1].discarded


@given(jobs())
def test_ids_and_moments_rise_and_paths_bear_the_ids(job: SimulatedJob) -> None:
    found = snapshots(job, 200.0)
    first = 1 if job.origin is None else job.origin.id + 1
    assert [one.id for one in found] == list(range(first, first + len(found)))
    assert [one.moment for one in found] == sorted(one.moment for one in found)
    assert all(one.path == f"file:/c/chk-{one.id}" for one in checkpoints(found))


@given(jobs())
def test_a_checkpoint_comes_only_while_the_job_runs_and_fails_only_in_an_outage(job: SimulatedJob) -> None:
    for one in snapshots(job, 200.0):
        if not one.is_savepoint:
            assert one.moment > job.running_from
            assert not any(f.moment + 1e-3 < one.moment < f.back for f in job.survived)
            assert one.moment <= job.until(200.0) + 1e-3
            assert (one.path is None) == job.outages.cover(one.moment)


@given(jobs(), moments)
def test_what_was_tells_nothing_of_what_comes(job: SimulatedJob, now: float) -> None:
    """A look at an earlier time sees the beginning of what a later one sees, except for what was discarded since."""
    job.savepoints.clear()
    earlier, later = snapshots(job, now), snapshots(job, 200.0)
    assert [(one.id, one.path) for one in earlier] == [(one.id, one.path) for one in later[: len(earlier)]]
    assert restores(job, now) == restores(job, 200.0)[: len(restores(job, now))]


@given(jobs())
def test_a_job_begins_again_with_the_newest_checkpoint_before(job: SimulatedJob) -> None:
    completed = {one.id: one for one in checkpoints(snapshots(job, 200.0))}
    for restore in restores(job, 200.0):
        older = [one.id for one in completed.values() if one.moment <= restore.moment - 5.0 + 1e-6]
        if restore.is_savepoint:
            assert job.origin is not None
            assert restore.path == job.origin.path
            assert restore.moment == job.started or not older
        else:
            assert restore.id == max(older)


@pytest.mark.parametrize("switches", [[True, True], [False], []])
def test_switching_to_what_is_changes_nothing(switches: list[bool]) -> None:
    outages = Outages()
    for moment, on in enumerate(switches):
        outages.switch(on, float(moment))
    assert outages.cover(9.0) == (True in switches)
