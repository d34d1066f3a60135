# SPDX-License-Identifier: Apache-2.0
"""What a failing Airflow task raises. All derive from ``AirflowException``, as a sensor's ``soft_fail`` demands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_dinky._compat import AirflowException, AirflowFailException
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyError,
    DinkyNotFoundError,
    DinkyResponseError,
    DinkySignInError,
)


class DinkyTaskError(AirflowException):
    """Dinky could not be asked, or refused; the message says what to do about it."""


class DinkyFinalError(DinkyTaskError, AirflowFailException):
    """The same, and a retry would meet it again: a bad id or parameter, a wrong user, password or tenant."""


class JobFailedError(AirflowException):
    """The Flink job failed, was cancelled or got lost; the message says why, as far as anybody tells."""


class JobEndedError(JobFailedError, AirflowFailException):
    """The same of the one run that is waited for, which has ended; a retry would find that again."""


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
        raise (DinkyFinalError if is_final(error) else DinkyTaskError)(str(error)) from error


FINAL_ERRORS = frozenset({"DinkyConfigError", "DinkyNotFoundError", "DinkySignInError"})
"""Their names, as a trigger's event tells them."""


def is_final(error: Exception | None) -> bool:
    """Whether a retry of the Airflow task would meet the error again.

    A session that somebody else's sign-in has ended, and a worker thread of Dinky's that does not know its tenant, are
    met by chance.
    """
    from airflow_provider_dinky.client.wire import SessionLost, TenantNotSet

    if isinstance(error, SessionLost | TenantNotSet):
        return False
    return isinstance(error, DinkyConfigError | DinkyNotFoundError | DinkySignInError)
