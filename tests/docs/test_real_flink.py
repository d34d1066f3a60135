# SPDX-License-Identifier: Apache-2.0
"""A sandbox on a real Flink, as the documentation shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.errors import FlinkUnavailable
from airflow_provider_dinky.sandbox.flink.jvm import find_java
from airflow_provider_dinky.sandbox.flink.runtime import TIMING, FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM, flink_tasks, read_turnover
from tests.flink.conftest import until


@pytest.mark.flink
def test_what_a_real_job_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_java()
    except FlinkUnavailable as error:
        pytest.skip(str(error))

    def run_my_dag() -> None:
        with DinkyHook() as hook:
            hook.submit_task(TURNOVER_STREAM)
        until(lambda: len(read_turnover(turnover)) > 2)

    # --8<-- [start:embed]
    turnover = tmp_path / "turnover"
    with FlinkRuntime() as flink:
        with Sandbox(engine=flink.engine(), tasks=flink_tasks(turnover), timing=TIMING) as sandbox:
            monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
            run_my_dag()
        rows = sorted((row.amount, row.so_far) for row in read_turnover(turnover))
    assert rows == [(n, n * (n + 1) // 2) for n in range(1, len(rows) + 1)]
    # --8<-- [end:embed]
    assert rows
