# SPDX-License-Identifier: Apache-2.0
"""Flink's session cluster is killed and comes back without high availability: it does not know its jobs any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_dinky.exceptions import DinkyTaskError, JobFailedError
from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    RestartTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.sensors.dinky import JobStatusSensor
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from tests.airflow_task import first_event

from .live_dinky import LiveDinky, LiveTask, Server, until
from .running import GUARD, Run, Way
from .statements import counting_stream

pytestmark = pytest.mark.keep_jobs
EACH_WAY = pytest.mark.parametrize("way", ["authenticated", "anonymous", "anonymous_flink"], indirect=True)

CASES = (
    *(("authenticated", case) for case in ("submit", "restart", "keep_running", "repair")),
    *(("anonymous_flink", case) for case in ("submit", "restart", "keep_running")),
    ("anonymous", "submit"),
)
"""As many as there are slots."""
State = dict[tuple[str, str], tuple[LiveTask, "str | None"]]


@pytest.fixture(scope="module")
def lost(live: LiveDinky, ways: dict[str, Way], flink_server: Server) -> Iterator[State]:
    """A stream for each case and way in, with its savepoint; then their cluster is killed and revived, once for all."""
    state: State = {}
    for name, case in CASES:
        task = live.task(counting_stream())
        Run(ways[name].of(SubmitTaskOperator, dinky_task_id=task.id))()
        path = None
        task.wait_for_rows(task.running()[0])
        if not live.why_no_savepoints(task):
            path = Run(ways["authenticated"].of(SavepointTaskOperator, dinky_task_id=task.id))()
        state[name, case] = task, path
    flink_server.stop()
    flink_server.start()
    for task, _ in state.values():
        until(lambda task=task: (task.newest() or {}).get("status") == "UNKNOWN", 300.0)  # type: ignore[misc]
    yield state
    live.clean_up()


def _is_back(task: LiveTask, path: str | None) -> None:
    (jid,) = task.running()
    assert len(task.jobs()) == 1
    restored = task.restored_from(jid)
    if path is None:
        assert restored is None
    else:
        # A checkpoint after the savepoint is newer state than that.
        assert restored == path or "/chk-" in str(restored)


@EACH_WAY
def test_a_cancel_has_nothing_to_stop(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]

    Run(way.of(CancelTaskOperator, dinky_task_id=task.id))()

    assert task.jobs() == []


@EACH_WAY
def test_a_wait_for_the_lost_job_fails_and_says_why(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]
    newest = task.newest()
    assert newest is not None
    # A sensor has nowhere to ask Flink but through Dinky.
    reason = "Flink does not know job" if way.is_authenticated else "UNKNOWN"

    with pytest.raises(JobFailedError, match=reason):
        Run(way.of(JobStatusSensor, job_instance_id=newest["id"], unknown_timeout=30))()


def test_the_event_trigger_reports_it(lost: State, ways: dict[str, Way]) -> None:
    task, _ = lost["authenticated", "repair"]
    trigger = JobStatusEventTrigger(
        task.id, ways["authenticated"].conn_id, states=("UNKNOWN",), poll_interval=1.0, unknown_timeout=5.0
    )

    event = asyncio.run(first_event(trigger, GUARD))

    assert (event["status"], event["gone"]) == ("UNKNOWN", True)


@EACH_WAY
def test_submit_starts_again(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]
    if not way.sees_flink:
        with pytest.raises(DinkyTaskError, match="if_unknown"):
            Run(way.of(SubmitTaskOperator, dinky_task_id=task.id))()
        assert task.jobs() == []
    known = {} if way.sees_flink else {"if_unknown": "start"}

    Run(way.of(SubmitTaskOperator, dinky_task_id=task.id, **known))()

    _is_back(task, None)


@pytest.mark.parametrize(("way", "case"), [case for case in CASES if case[1] != "submit"], indirect=["way"])
def test_the_stream_is_brought_back_from_its_newest_state(lost: State, way: Way, case: str) -> None:
    task, path = lost[way.name, case]
    operator: Any = RestartTaskOperator if case == "restart" else SubmitTaskOperator
    how: dict[str, Any] = {
        "restart": {},
        "keep_running": {"if_running": "attach", "savepoint_path": "latest-state"},
        "repair": {"if_running": "skip", "savepoint_path": "latest-state", "wait_for": "checkpointed"},
    }[case]
    if not way.is_authenticated:
        # Dinky names savepoints to authenticated users only, and Flink has forgotten the job with its checkpoints.
        with pytest.raises(DinkyTaskError, match="no such state is known|no state of it is known"):
            Run(way.of(operator, dinky_task_id=task.id, **how))()
        assert task.jobs() == []
        # What an anonymous caller has asked for by its name may be there, so only without it is anything started.
        how |= {"savepoint_path": None} if "savepoint_path" in how else {"if_no_state": "fresh"}
        path = None

    Run(way.of(operator, dinky_task_id=task.id, **how))()

    if way.is_authenticated and path is None:
        assert task.restored_from(task.running()[0])
    else:
        _is_back(task, path)
