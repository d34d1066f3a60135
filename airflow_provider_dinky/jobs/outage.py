# SPDX-License-Identifier: Apache-2.0
"""Which errors say something about a job, and which are an outage that is waited out. Pure rules.

Before Dinky has answered about the job only a ``DinkyConnectionError`` is an outage, so that a wrong address is not
waited out; afterwards every ``DinkyError`` but a refusal that is about the job itself, a connection that cannot be
used, and checkpoints that are off or not visible. A refusal (code 1 or 6) is about the job; an exception inside Dinky
(code 5), as it answers for a moment while it shuts down, only if three looks in a row meet it.
"""

from __future__ import annotations

from airflow_provider_dinky.client.errors import (
    CheckpointingOffError,
    DinkyConfigError,
    DinkyConnectionError,
    DinkyRefusedError,
    FlinkNotVisibleError,
)

EXCEPTIONS_IN_A_ROW = 3
"""Looks in a row that meet an exception inside Dinky (code 5), after which that counts as its answer about the job."""

_EXCEPTION_IN_DINKY = 5


def is_exception_in_dinky(error: object) -> bool:
    """Whether Dinky answered with an exception of its own (code 5)."""
    return isinstance(error, DinkyRefusedError) and error.code == _EXCEPTION_IN_DINKY


def is_about_the_job(error: Exception, answered: bool, exceptions: int) -> bool:
    """Whether an error ends the wait at once, because it is an answer about the job or its connection.

    :param answered: Dinky has answered about the job before.
    :param exceptions: looks in a row, this one included, that met an exception inside Dinky.
    """
    if isinstance(error, DinkyConnectionError):
        return False
    if not answered:
        return True
    if isinstance(error, FlinkNotVisibleError):
        return error.forbidden
    if is_exception_in_dinky(error):
        return exceptions >= EXCEPTIONS_IN_A_ROW
    return isinstance(error, DinkyRefusedError | DinkyConfigError | CheckpointingOffError)


def too_long(seconds: float, error: object) -> str:
    """Why an outage is not waited out any longer.

    :param seconds: how long it has lasted.
    """
    return f"no answer for {seconds:.0f} s: {error}"
