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


class JobUnhealthyError(AirflowException):
    """The job was not as healthy as demanded in time; the message holds one sentence for each check that failed."""


class JobRunsAlreadyError(AirflowFailException):
    """The task has an active job already, and a retry could not tell it from one of its own."""


class StateLostError(AirflowFailException):
    """Dinky has restarted a job without its state; a retry would find it running and know nothing of that."""


class SqlCheckError(AirflowFailException):
    """Dinky's check found SQL that would not run; a retry would find the same."""


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
