# SPDX-License-Identifier: Apache-2.0
"""An editor shows every parameter of our own: ``**kwargs`` holds only those of Airflow's base classes."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from airflow_provider_dinky import operators
from airflow_provider_dinky.operators import dinky as public_operators
from airflow_provider_dinky.sensors import dinky as public_sensors

OURS = operators.__name__.partition(".")[0]
PUBLIC = [
    *(getattr(public_operators, name) for name in public_operators.__all__),
    *(getattr(public_sensors, name) for name in public_sensors.__all__),
]


def own_parameters(of: type) -> set[str]:
    """Parameters of the constructors that our classes define, the bases' too."""
    return {
        name
        for cls in of.__mro__
        if cls.__module__.startswith(OURS) and "__init__" in vars(cls)
        for name, one in inspect.signature(vars(cls)["__init__"]).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
class TestConstructor:
    def test_spells_every_parameter_out(self, cls: Any) -> None:
        assert own_parameters(cls) <= set(inspect.signature(cls.__init__).parameters)

    def test_its_docstring_explains_every_parameter(self, cls: Any) -> None:
        explained = set(re.findall(r":param (\w+):", inspect.getdoc(cls) or ""))
        # What Airflow documents itself, with another default here.
        assert own_parameters(cls) - {"poke_interval", "timeout"} <= explained

    def test_none_that_is_explained_is_hidden_in_kwargs(self, cls: Any) -> None:
        explained = set(re.findall(r":param (\w+):", inspect.getdoc(cls) or ""))
        assert explained <= set(inspect.signature(cls.__init__).parameters)


def test_the_parameters_that_an_editor_must_show() -> None:
    shown = set(inspect.signature(public_operators.SubmitTaskOperator.__init__).parameters)
    assert {"wait_for", "poll_interval", "deferrable", "savepoint_path", "cancel_on_kill"} <= shown
    assert not shown & {"on_conflict", "on_ambiguous"}
