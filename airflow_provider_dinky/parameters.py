# SPDX-License-Identifier: Apache-2.0
"""Checking what DAG authors give, with one clear sentence where it cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from airflow_provider_dinky.client.errors import DinkyConfigError

T = TypeVar("T")


def choice(name: str, value: T, allowed: Iterable[T]) -> T:
    """The value, if it is one of those allowed.

    :raises ValueError: naming the parameter and what it may be.
    """
    options = tuple(allowed)
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, not {value!r}")
    return value


def seconds(name: str, value: float | timedelta) -> float:
    """A number of seconds above 0.

    :raises ValueError: naming the parameter.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
        raise ValueError(f"{name} must be a number of seconds above 0, or a timedelta, not {value!r}")
    return float(number)


def variables_of(value: Any, conn_id: str) -> dict[str, Any] | None:
    """The ``variables`` of an operator, after templating.

    :raises DinkyConfigError: they are no mapping of names to values; nothing was sent.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise DinkyConfigError(
            f"connection '{conn_id}': variables must be a mapping of names to values, not {type(value).__name__}"
        )
    return dict(value)


def path_of(value: Any) -> str | None:
    """A savepoint path after templating: an empty text, ``None`` and the like mean none."""
    text = "" if value is None else str(value).strip()
    return None if text.lower() in ("", "none", "null") else text
