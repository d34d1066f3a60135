# SPDX-License-Identifier: Apache-2.0
"""A pytest fixture to test one's own DAGs with.

::

    pytest_plugins = ["airflow_provider_dinky.sandbox.pytest_plugin"]

    def test_my_dag(dinky_sandbox): ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .embedded import Sandbox


@pytest.fixture
def dinky_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox twenty times as fast as real time; the Airflow connection ``dinky_default`` leads to it."""
    with Sandbox(speed=20) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DINKY_DEFAULT", sandbox.airflow_connection)
        yield sandbox
