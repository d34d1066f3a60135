# SPDX-License-Identifier: Apache-2.0
"""Restarts, and what goes on from a savepoint; whether state was restored is what Flink says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    RestartTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)

from .live_dinky import LiveDinky, LiveTask
from .running import Run, Way
from .statements import batch, counting_stream, stream


def _restart(way: Way, task: LiveTask, **kwargs: Any) -> Run:
    return Run(way.of(RestartTaskOperator, dinky_task_id=task.id, **kwargs))


def _submit(way: Way, task: LiveTask, **kwargs: Any) -> Run:
    return Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, **kwargs))


def _savepoint(way: Way, task: LiveTask, kind: str = "trigger") -> str:
    return str(Run(way.of(SavepointTaskOperator, dinky_task_id=task.id, savepoint_type=kind))())


@pytest.fixture
def task(live: LiveDinky, ways: dict[str, Way]) -> LiveTask:
    """A stream that runs and counts."""
    task = live.task(counting_stream())
    _submit(ways["anonymous"], task)()
    task.wait_for_rows(task.running()[0])
    return task


@pytest.fixture
def saved(live: LiveDinky, task: LiveTask) -> LiveTask:
    """The same, on a Dinky that takes savepoints."""
    if why := live.why_no_savepoints(task):
        pytest.skip(f"this Dinky takes no savepoints: {why}")
    return task


def test_restart_goes_on_from_a_savepoint_of_its_own(saved: LiveTask, way: Way, deferrable: bool) -> None:
    old = saved.running()
    run = _restart(way, saved, deferrable=deferrable)

    instance = run()

    new = saved.running()
    assert len(new) == 1
    assert new != old
    assert saved.restored_from(new[0]) == run.xcom["savepoint_path"]
    newest = saved.newest()
    assert newest is not None
    assert newest["id"] == instance


def test_restart_with_a_path_goes_on_from_that(saved: LiveTask, way: Way) -> None:
    path = _savepoint(way, saved)

    _restart(way, saved, savepoint_path=path)()

    assert len(saved.running()) == 1
    assert saved.restored_from(saved.running()[0]) == path


def test_restart_with_a_bad_path_brings_the_job_back(saved: LiveTask, way: Way) -> None:
    old = saved.running()
    path = _savepoint(way, saved)

    with pytest.raises(DinkyTaskError):
        _restart(way, saved, savepoint_path=f"{path}-not-there")()

    back = saved.running()
    assert len(back) == 1
    assert back != old
    assert saved.restored_from(back[0])


def test_a_restart_that_gets_no_savepoint_leaves_the_job_untouched(
    live: LiveDinky, task: LiveTask, way: Way
) -> None:
    if not live.why_no_savepoints(task):
        pytest.skip("this Dinky takes savepoints")
    old = task.running()

    with pytest.raises(DinkyTaskError, match=r"(?s)host = null.*What to do"):
        _restart(way, task)()

    assert task.running() == old


def test_restart_of_a_task_that_never_ran_is_a_plain_start(live: LiveDinky, way: Way) -> None:
    task = live.task(stream())

    _restart(way, task)()

    assert len(task.running()) == 1
    assert task.restored_from(task.running()[0]) is None


def test_restart_of_a_batch_that_is_done_is_a_plain_start(live: LiveDinky, way: Way) -> None:
    task = live.task(batch())
    _submit(way, task, wait_for="finished")()
    # An anonymous caller cannot see that no savepoint ended it, and has to say that it may start without state.
    fresh = {} if way.is_authenticated else {"if_no_state": "fresh"}

    _restart(way, task, wait_for="finished", **fresh)()

    assert [job["state"] for job in task.jobs()] == ["FINISHED", "FINISHED"]


def test_restart_keeps_the_variables(live: LiveDinky, way: Way) -> None:
    task = live.task(stream(more=", 'fields.id.min' = '${least}'"))
    _submit(way, task, variables={"least": 3})()
    task.wait_for_rows(task.running()[0])
    if why := live.why_no_savepoints(task):
        pytest.skip(f"this Dinky takes no savepoints: {why}")
    # An anonymous caller cannot see them, and gives them.
    given = None if way.is_authenticated else {"least": 3}

    _restart(way, task, variables=given)()

    assert len(task.running()) == 1


@pytest.mark.parametrize("stop", ["cancel", "cancel with savepoint", "stop"])
def test_a_stop_and_a_start_behind_it(saved: LiveTask, way: Way, stop: str) -> None:
    old, path = saved.running(), None
    if stop == "stop":
        path = _savepoint(way, saved, "stop")
    else:
        with_savepoint = stop != "cancel"
        path = Run(way.of(CancelTaskOperator, dinky_task_id=saved.id, with_savepoint=with_savepoint))()
    # The stop is over when the job has ended, in Flink, too.
    assert saved.running() == []

    _submit(way, saved, savepoint_path=path)()

    assert len(saved.running()) == 1
    assert saved.running() != old
    assert saved.restored_from(saved.running()[0]) == path


def test_a_savepoint_and_a_start_elsewhere(live: LiveDinky, saved: LiveTask, way: Way) -> None:
    elsewhere = live.task(counting_stream())
    path = _savepoint(way, saved, "stop")

    _submit(way, elsewhere, savepoint_path=path)()

    assert saved.running() == []
    assert elsewhere.restored_from(elsewhere.running()[0]) == path


@pytest.mark.parametrize("way", ["authenticated", "anonymous_flink"], indirect=True)
def test_a_start_from_the_latest_state_of_a_cancelled_job(task: LiveTask, way: Way) -> None:
    Run(way.of(CancelTaskOperator, dinky_task_id=task.id))()

    run = _submit(way, task, savepoint_path="latest-state", wait_for="checkpointed")
    run()

    assert task.restored_from(task.running()[0]) == run.xcom["savepoint_path"]


def test_a_savepoint_leaves_the_job_running(saved: LiveTask, way: Way) -> None:
    old = saved.running()

    assert _savepoint(way, saved).startswith(("file:", "hdfs:", "s3"))
    assert saved.running() == old
