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

CASES = ("submit", "restart", "keep_running", "repair")
State = dict[tuple[str, str], tuple[LiveTask, "str | None"]]


@pytest.fixture(scope="module")
def lost(live: LiveDinky, ways: dict[str, Way], flink_server: Server) -> Iterator[State]:
    """A stream for each case and way in, with its savepoint; then their cluster is killed and revived, once for all."""
    state: State = {}
    for name in ("authenticated", "anonymous"):
        for case in CASES:
            task = live.task(counting_stream())
            Run(ways[name].of(SubmitTaskOperator, dinky_task_id=task.id))()
            path = None
            if not live.why_no_savepoints(task):
                task.wait_for_rows(task.running()[0])
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


def test_a_cancel_has_nothing_to_stop(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]

    Run(way.of(CancelTaskOperator, dinky_task_id=task.id))()

    assert task.jobs() == []


def test_a_wait_for_the_lost_job_fails_and_says_why(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]
    newest = task.newest()
    assert newest is not None

    with pytest.raises(JobFailedError, match="Flink does not know job"):
        Run(way.of(JobStatusSensor, job_instance_id=newest["id"]))()


def test_the_event_trigger_reports_it(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "repair"]
    trigger = JobStatusEventTrigger(
        task.id, way.conn_id, states=("UNKNOWN",), poll_interval=1.0, unknown_timeout=5.0
    )

    event = asyncio.run(first_event(trigger, GUARD))

    assert event["status"] == "UNKNOWN"


def test_submit_starts_again(lost: State, way: Way) -> None:
    task, _ = lost[way.name, "submit"]

    Run(way.of(SubmitTaskOperator, dinky_task_id=task.id))()

    _is_back(task, None)


@pytest.mark.parametrize("case", ["restart", "keep_running", "repair"])
def test_the_stream_is_brought_back_from_its_newest_state(lost: State, way: Way, case: str) -> None:
    task, path = lost[way.name, case]
    operator: Any = RestartTaskOperator if case == "restart" else SubmitTaskOperator
    how: dict[str, Any] = {
        "restart": {},
        "keep_running": {"if_running": "attach", "savepoint_path": "latest-state"},
        "repair": {"if_running": "skip", "savepoint_path": "latest-state", "wait_for": "checkpointed"},
    }[case]
    if not way.is_authenticated:
        # No newest state is visible to an anonymous caller: nothing is started without it in silence.
        with pytest.raises(DinkyTaskError, match="if_no_state"):
            Run(way.of(operator, dinky_task_id=task.id, **how))()
        assert task.jobs() == []
        how["if_no_state"], how["wait_for"], path = "fresh", "running", None

    Run(way.of(operator, dinky_task_id=task.id, **how))()

    if way.is_authenticated and path is None:
        assert len(task.running()) == 1
    else:
        _is_back(task, path)
