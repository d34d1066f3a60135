# SPDX-License-Identifier: Apache-2.0
"""Checking what DAG authors give, with one clear sentence where it cannot be used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import inf
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
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < inf:
        raise ValueError(f"{name} must be a number of seconds above 0, or a timedelta, not {value!r}")
    return float(number)


def whole_number(name: str, value: int) -> int:
    """A whole number from 0.

    :raises ValueError: naming the parameter.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of 0 or more, not {value!r}")
    return value


SAVEPOINT_TYPES = ("trigger", "stop", "cancel")


def savepoint_type_of(value: Any, conn_id: str) -> Any:
    """The ``savepoint_type`` of an operator or a hook's method, after templating.

    :raises DinkyConfigError: there is no such type; nothing was sent.
    """
    if value not in SAVEPOINT_TYPES:
        raise DinkyConfigError(
            f"connection '{conn_id}': savepoint_type must be one of {', '.join(SAVEPOINT_TYPES)}, not {value!r}"
        )
    return value


def variables_of(value: Any, conn_id: str) -> dict[str, Any] | None:
    """The ``variables`` of an operator, after templating.

    :raises DinkyConfigError: they are no mapping of names to values that JSON can hold; nothing was sent.
    """
    if value is None:
        return None
    wrong = f"connection '{conn_id}': variables must be a mapping of names to values"
    if not isinstance(value, Mapping):
        raise DinkyConfigError(f"{wrong}, not {type(value).__name__}")
    for name, one in value.items():
        if not isinstance(name, str):
            raise DinkyConfigError(f"{wrong}, and the name {name!r} is no text")
        try:
            json.dumps(one, allow_nan=False)
        except (TypeError, ValueError):
            # The value itself may be a secret.
            raise DinkyConfigError(
                f"connection '{conn_id}': the value of variable {name!r} is a {type(one).__name__} that JSON cannot "
                "hold; give it as a text"
            ) from None
    return dict(value)


def path_of(value: Any, conn_id: str) -> str | None:
    """A savepoint path after templating: an empty text, ``None`` and the like mean none.

    :raises DinkyConfigError: it is no text, such as the XComs of mapped tasks; nothing was sent.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and not isinstance(value, str):
        raise DinkyConfigError(
            f"connection '{conn_id}': savepoint_path must be one path, a text, not {type(value).__name__}"
        )
    text = (value or "").strip()
    return None if text.lower() in ("", "none", "null") else text
