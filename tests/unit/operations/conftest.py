# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.sandboxed import conn_id, sandbox

__all__ = ["conn_id", "sandbox"]
