# SPDX-License-Identifier: Apache-2.0
"""What keeps a real Flink from being used."""

from __future__ import annotations


class FlinkUnavailable(Exception):
    """Flink cannot be installed, started or reached; the message says why and what to do."""
