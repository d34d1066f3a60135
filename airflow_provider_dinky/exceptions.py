# SPDX-License-Identifier: Apache-2.0
"""What a failing Airflow task raises. All derive from ``AirflowException``, as a sensor's ``soft_fail`` demands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_dinky._compat import AirflowException, AirflowFailException
from airflow_provider_dinky.client.errors import DinkyError, DinkyResponseError


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
    except DinkyResponseError as error:
        from airflow_provider_dinky.diagnostics import versions

        # What Dinky did not say as we know it is what a report of a problem is most likely to be about.
        raise DinkyTaskError(f"{error}\nIf this is a Dinky, please report it with: {versions()}") from error
    except DinkyError as error:
        raise DinkyTaskError(str(error)) from error
