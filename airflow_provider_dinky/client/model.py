# SPDX-License-Identifier: Apache-2.0
"""What all models of Dinky's answers have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.alias_generators import to_camel


class DinkyModel(BaseModel):
    """Frozen, and tolerant of what is not known."""

    model_config = ConfigDict(
        frozen=True, extra="allow", populate_by_name=True, alias_generator=to_camel, protected_namespaces=()
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        extra = self.model_extra or {}
        return ((name, value) for name, value in super().__repr_args__() if name not in extra)


class Lenient(DinkyModel):
    """For what is good to know and decides nothing: a field of an unexpected kind is kept as it came.

    A submit that worked must not be taken for a failed one because a setting in its answer changed its type.
    The fields in ``decisive`` must be of their kind nevertheless.
    """

    decisive: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="wrap")
    @classmethod
    def _keep_as_it_came(
        cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return validate(value)
        except ValidationError:
            if info.field_name in cls.decisive:
                raise
            return value


def _no_epoch(value: Any) -> Any:
    return None if isinstance(value, str) and value[:4] in ("1969", "1970") else value


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else str(value)


Text = Annotated[str | None, BeforeValidator(_text)]
FinishTime = Annotated[str | None, BeforeValidator(_no_epoch)]
