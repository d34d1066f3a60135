# SPDX-License-Identifier: Apache-2.0
"""Reading Python source in a test."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path


def nodes_of(file: Path) -> Iterator[ast.AST]:
    """Every node of a file's syntax tree."""
    # CPython 3.11 fails now and then with "AST constructor recursion depth mismatch" if garbage is collected meanwhile.
    gc.disable()
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    finally:
        gc.enable()
    return ast.walk(tree)
