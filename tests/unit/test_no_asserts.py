# SPDX-License-Identifier: Apache-2.0
"""No ``assert`` in the package: what comes from outside gets a sentence, and Python's ``-O`` takes nothing away."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_provider_dinky
from tests.source import nodes_of

PACKAGE = Path(airflow_provider_dinky.__file__).parent
FILES = sorted(file for file in PACKAGE.rglob("*.py") if "sandbox" not in file.relative_to(PACKAGE).parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_assert(file: Path) -> None:
    assert [node.lineno for node in nodes_of(file) if isinstance(node, ast.Assert)] == []
