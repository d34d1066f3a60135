# SPDX-License-Identifier: Apache-2.0
"""One real Flink for all tests here, and a sandbox on it for each."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.engine import ENDED, EngineUnreachable, JobNotFound, JobRecord
from airflow_provider_dinky.sandbox.flink.errors import FlinkUnavailable
from airflow_provider_dinky.sandbox.flink.jvm import find_java
from airflow_provider_dinky.sandbox.flink.rest import FlinkRefused
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import flink_tasks
from airflow_provider_dinky.sandbox.timing import Timing

# A lost process is noticed within seconds, not after 20 to 50.
QUICK = {"heartbeat.interval": "1 s", "heartbeat.timeout": "10 s"}
# Dinky looks at its jobs at once and often, and gives up after two seconds.
TIMING = Timing(
    submit=0.0,
    first_submit=0.0,
    cancel=0.0,
    first_look=(0.1, 0.1),
    look_every=(0.2, 0.2),
    unknown_after=2.0,
    stop_poll=0.1,
)


# Before tests/conftest.py looks at the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here; skip them where there is no Java."""
    here = Path(__file__).parent
    mine = [item for item in items if item.path.is_relative_to(here)]
    if not mine:
        return
    try:
        find_java()
        marks = [pytest.mark.flink]
    except FlinkUnavailable as error:
        marks = [pytest.mark.flink, pytest.mark.skip(reason=str(error))]
    for item in mine:
        for mark in marks:
            item.add_marker(mark)


@pytest.fixture(scope="session")
def flink() -> Iterator[FlinkRuntime]:
    """A running Flink."""
    with FlinkRuntime(settings=QUICK, tell=print) as flink:
        yield flink


@pytest.fixture
def turnover(tmp_path: Path) -> Path:
    """Where ``turnover_stream`` writes."""
    return tmp_path / "turnover"


@pytest.fixture
def sandbox(flink: FlinkRuntime, turnover: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox on the real Flink, to which ``dinky_default`` leads; its jobs end with it."""
    engine = flink.engine()
    with Sandbox(engine=engine, tasks=flink_tasks(turnover), timing=TIMING, quirks=False) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
        yield sandbox
        tell(flink, engine.jobs)
        assert flink.cluster is not None
        flink.cluster.wait_until_alive()
        until(lambda: end_all(flink, engine.jobs))


def tell(flink: FlinkRuntime, jobs: tuple[JobRecord, ...]) -> None:
    """Print what became of the jobs, for a test that has failed."""
    for job in jobs:
        with contextlib.suppress(EngineUnreachable, FlinkRefused, JobNotFound):
            failed = flink.rest.ask_blocking(f"/jobs/{job.jid}/exceptions").get("root-exception")
            sys.stdout.write(f"{job.name} ({job.jid}) is {job.state}\n{failed or ''}\n")


def end_all(flink: FlinkRuntime, jobs: tuple[JobRecord, ...]) -> bool:
    """Cancel those of the jobs that are active; whether none is left."""
    with contextlib.suppress(EngineUnreachable, FlinkRefused, JobNotFound):
        states = {job["jid"]: job["state"] for job in flink.rest.ask_blocking("/jobs/overview")["jobs"]}
        active = [job.jid for job in jobs if states.get(job.jid, "CANCELED") not in ENDED]
        for jid in active:
            flink.rest.send_blocking("PATCH", f"/jobs/{jid}", {"mode": "cancel"})
        return not active
    return False


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that Flink does in its own time and tells nobody."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)
