# SPDX-License-Identifier: Apache-2.0
"""Which run keys are those of an earlier generation of the same run."""

from __future__ import annotations

import pytest

from airflow_provider_dinky.operations.after_clear import is_earlier

OURS = "dag/run/task/-1/12"


@pytest.mark.parametrize("other", ["dag/run/task/-1/0", "dag/run/task/-1/9", "dag/run/task/-1/11/back/1.5"])
def test_an_earlier_generation(other: str) -> None:
    assert is_earlier(other, OURS)


@pytest.mark.parametrize(
    "other",
    [OURS, "dag/run/task/-1/13", "dag/run2/task/-1/0", "dag/run/task/1/0", "dag/run/task/-1/x", "", None],
)
def test_not_one(other: str | None) -> None:
    assert not is_earlier(other, OURS)
