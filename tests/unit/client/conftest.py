# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_dinky.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Dinky of our own."""
    with Sandbox(speed=60, seed=1) as sandbox:
        yield sandbox
