# SPDX-License-Identifier: Apache-2.0
"""Every exception of the package survives pickle and copy with all its fields: process pools need that."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import airflow_provider_dinky
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.sandbox.java import Throwable

SAMPLES: dict[str, Any] = {
    "int": 5,
    "str": "connection 'c1': what happened",
    "str | None": "a.E: x",
    "bool": True,
    "Throwable": Throwable("a.E", "x", Throwable("b.F", "y")),
    "Sequence[Sequence[str]]": [["a.E", "x"], ["b.F", "y"]],
}


def exceptions() -> list[type[BaseException]]:
    """The classes of all modules, found by walking the package."""
    found: dict[type[BaseException], None] = {}
    for module in pkgutil.walk_packages(airflow_provider_dinky.__path__, "airflow_provider_dinky."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(value)
                and issubclass(value, BaseException)
                and value.__module__ == module.name
            ):
                found[value] = None
    return list(found)


def made(kind: type[BaseException]) -> BaseException:
    """One of them, with a value for each parameter of its own."""
    if "__init__" not in {
        name for base in kind.__mro__ for name in vars(base) if base.__module__ != "builtins"
    }:
        return kind("what happened", 7)
    args, kwargs = [], {}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = SAMPLES[str(parameter.annotation)]
        if parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = value
        else:
            args.append(value)
    return kind(*(args or ["what happened"]), **kwargs)


def by_pickle(error: BaseException) -> Any:
    return pickle.loads(pickle.dumps(error))


def test_they_are_found() -> None:
    kinds = exceptions()
    assert len(kinds) > 30
    assert {"DinkyConnectionError", "DinkyRefusedError", "FlinkNotVisibleError", "JobFailedError"} <= {
        kind.__name__ for kind in kinds
    }


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("through", [by_pickle, copy.copy, copy.deepcopy])
def test_an_exception_arrives_whole(
    kind: type[BaseException], through: Callable[[BaseException], Any]
) -> None:
    error = made(kind)
    if isinstance(error, DinkyError):
        error.outcome_unknown = True
    arrived = through(error)
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)
