# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.sandboxed import conn_id, deferrable, logged, sandbox
from tests.unit.triggers.events import dinky, soon, start, times_logged, way

__all__ = ["conn_id", "deferrable", "dinky", "logged", "sandbox", "soon", "start", "times_logged", "way"]
