# SPDX-License-Identifier: Apache-2.0
"""What a failing Airflow task raises. All derive from ``AirflowException``, as a sensor's ``soft_fail`` demands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_dinky._compat import AirflowException, AirflowFailException
from airflow_provider_dinky.client.errors import DinkyError


class DinkyTaskError(AirflowException):
    """Dinky could not be asked, or refused; the message says what to do about it."""


class JobFailedError(AirflowException):
    """The Flink job failed, was cancelled or got lost; the message says why, as far as anybody tells."""


class RivalJobError(AirflowFailException):
    """Two jobs of one Dinky task were started at once; a retry would meet the other one again."""


class JobTimeoutError(AirflowException):
    """The job did not get where it was awaited in time."""


@contextmanager
def as_airflow_errors() -> Iterator[None]:
    """Turns what the client raises into what an Airflow task may raise."""
    try:
        yield
    except DinkyError as error:
        raise DinkyTaskError(str(error)) from error
