# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

from tests.sandboxed import conn_id, deferrable, logged, sandbox

__all__ = ["conn_id", "deferrable", "logged", "sandbox"]


def clock_at(now: float) -> SimpleNamespace:
    """The module ``time`` at a moment that does not pass."""
    return SimpleNamespace(time=lambda: now, monotonic=lambda: now)
