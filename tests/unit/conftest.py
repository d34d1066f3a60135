# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import AIRFLOW_HOME


@pytest.fixture(scope="session", autouse=True)
def _no_metadata_database() -> Iterator[None]:
    """A unit test that needs Airflow's database is none; SQLite makes the file when first asked.

    Airflow up to 3.0 asks there, too, for a connection that is nowhere to be found.
    """
    yield
    if tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 1):
        assert list(Path(AIRFLOW_HOME).glob("*.db")) == []
