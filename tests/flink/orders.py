# SPDX-License-Identifier: Apache-2.0
"""Whether the sum that ``turnover_stream`` writes is right."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_dinky.sandbox.flink.tasks import Turnover, read_turnover

from .conftest import until


def sums(count: int) -> list[tuple[int, int]]:
    """The first rows of a job that has lost nothing and written nothing twice."""
    return [(amount, amount * (amount + 1) // 2) for amount in range(1, count + 1)]


def rows(folder: Path) -> list[tuple[int, int]]:
    """What was written, in the order of its amounts."""
    return sorted((row.amount, row.so_far) for row in read_turnover(folder))


def wait_for(folder: Path, more_than: int) -> list[Turnover]:
    """Wait until more than so many rows are there; return them by their time."""
    until(lambda: len(read_turnover(folder)) > more_than)
    return read_turnover(folder)
