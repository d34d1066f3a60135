# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import AIRFLOW_HOME


@pytest.fixture(scope="session", autouse=True)
def _no_metadata_database() -> Iterator[None]:
    """A unit test that needs Airflow's database is none; SQLite makes the file when first asked."""
    yield
    assert list(Path(AIRFLOW_HOME).glob("*.db")) == []
