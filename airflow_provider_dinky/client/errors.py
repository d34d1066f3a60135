# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between us and Dinky, by what the caller can do about it."""

from __future__ import annotations

from typing import Any


class DinkyError(Exception):
    """Anything that kept a Dinky call from giving its result.

    The message is one a user can act on: it names the connection, what was asked, what happened and the remedy.

    :ivar outcome_unknown: the request may have reached Dinky and may have been carried out.
    """

    outcome_unknown: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with the message alone, and a keyword that it needs would be missing.
        return _restored, (type(self), self.args, dict(vars(self)))


def _restored(kind: type[DinkyError], args: tuple[Any, ...], fields: dict[str, Any]) -> DinkyError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


class DinkyConfigError(DinkyError, ValueError):
    """A connection or a parameter holds a value that cannot be used; nothing was sent."""


class DinkyConnectionError(DinkyError):
    """No answer of Dinky's own: refused, timed out, reset, or a proxy's HTTP 5xx.

    :param sent: whether the request may have reached Dinky.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = sent


class DinkyResponseError(DinkyError):
    """Something answered, but not as Dinky does: no JSON, a wrong shape, too large, a redirect."""

    outcome_unknown = True


class DinkySignInError(DinkyError):
    """Dinky does not accept the user, the password, the token or the tenant of the connection."""


class DinkyRefusedError(DinkyError):
    """Dinky understood the request and refused it, or failed while carrying it out.

    A submit or restart whose reason is that somebody gave up waiting has ``outcome_unknown``: a job may come of it yet.

    :ivar code: Dinky's result code: 1 refused, 5 exception, 6 bad parameters.
    :ivar reason: the root cause in one or few lines, secrets masked.
    :ivar trace: the whole stack trace where Dinky sent one, secrets masked.
    """

    def __init__(self, message: str, *, code: int, reason: str, trace: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.trace = trace


class DinkyNotFoundError(DinkyRefusedError):
    """The Dinky task or job instance does not exist, at least not for this user and tenant."""


class FlinkJobUnknownError(DinkyResponseError):
    """Flink itself answered that it does not know the job (HTTP 404 naming the job)."""

    outcome_unknown = False


class AmbiguousSubmitError(DinkyError):
    """A submit was sent, its answer was lost, and no trace of a job was found in the time a submit may take."""

    outcome_unknown = True


class FlinkNotVisibleError(DinkyError):
    """Nobody tells what Flink knows of a job.

    :ivar forbidden: the connection's settings do not allow to look, so waiting does not help.
    """

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message)
        self.forbidden = forbidden


class CheckpointingOffError(DinkyError):
    """The job takes no checkpoints, so there is none to wait for."""
