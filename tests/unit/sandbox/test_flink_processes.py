# SPDX-License-Identifier: Apache-2.0
"""What keeps a Flink's processes, with processes that only wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airflow_provider_dinky.sandbox.flink.cluster import JOB_MANAGER, TASK_MANAGER, FlinkCluster
from airflow_provider_dinky.sandbox.flink.environment import FlinkEnvironment
from airflow_provider_dinky.sandbox.flink.errors import FlinkUnavailable
from airflow_provider_dinky.sandbox.flink.keeper import Keeper

WAIT = ["sleep", "600"]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    folder = tmp_path / "kept"
    folder.mkdir()
    keeper = Keeper(folder)
    yield keeper
    keeper.close()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlinkCluster]:
    """One whose programs wait and do nothing else."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexec sleep 600\n")
    java.chmod(0o755)
    cluster = FlinkCluster(FlinkEnvironment(tmp_path), java)
    monkeypatch.setattr(cluster, "_wait_for_slots", lambda slots: None)
    cluster.start()
    yield cluster
    cluster.stop()


def test_a_name_is_free_only_when_its_process_has_ended(keeper: Keeper, tmp_path: Path) -> None:
    first = keeper.start("one", WAIT, os.environ, tmp_path / "out")
    with pytest.raises(FlinkUnavailable, match="Flink's one: it runs already"):
        keeper.start("one", WAIT, os.environ, tmp_path / "out")
    keeper.kill("one")
    assert not psutil.pid_exists(first)
    assert keeper.start("one", WAIT, os.environ, tmp_path / "out") != first


def test_a_program_that_is_not_there(keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(FlinkUnavailable, match="Flink's one: .*No such file.*absent"):
        keeper.start("one", ["/absent"], {}, tmp_path / "out")


def test_a_keeper_that_was_killed_is_named(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper._process.send_signal(signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(FlinkUnavailable, match="the process that started Flink has ended"):
            keeper.exit_code("one")
    keeper.close()


def test_a_job_manager_that_runs_is_not_started_again(cluster: FlinkCluster) -> None:
    first = dict(cluster.pids)
    cluster.revive_job_manager()
    cluster.revive_task_manager()
    assert cluster.pids == first

    cluster.kill_job_manager()
    cluster.revive_job_manager()
    assert cluster.pids[JOB_MANAGER] != first[JOB_MANAGER]
    assert not psutil.pid_exists(first[JOB_MANAGER])


def test_a_job_manager_that_is_to_forget_its_jobs_is_another_one(cluster: FlinkCluster) -> None:
    first = dict(cluster.pids)
    cluster.revive_job_manager(with_jobs=False)
    for name in (JOB_MANAGER, TASK_MANAGER):
        assert cluster.pids[name] != first[name]
        assert not psutil.pid_exists(first[name])
