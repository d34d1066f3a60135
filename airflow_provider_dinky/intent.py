# SPDX-License-Identifier: Apache-2.0
"""What an Airflow task wrote down before it acted, so that the next try knows where the one before has died.

It is written before each step, with the time, to Airflow's task state store (3.3 on), which retries of a task
share. It never expires and is never deleted: the key holds the generation, so a clear begins with a clean page.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol

from airflow_provider_dinky.client.errors import AmbiguousSubmitError

log = logging.getLogger(__name__)


class Step(str, Enum):
    """The step that was about to be taken, or has been."""

    SUBMIT = "submit"
    """A submit was about to be sent."""
    STARTED = "started"
    """Its job is known."""
    REFUSED = "refused"
    """Dinky refused it; nothing was started."""
    ENDPOINT = "endpoint"
    """Dinky's own restart was about to be sent."""
    STOP = "stop"
    """A stop with savepoint was about to be sent."""
    STOPPED = "stopped"
    """The old job stops, or has; its savepoint is known."""
    BACK = "back"
    """After a failed new start, a submit from the savepoint just taken was about to be sent."""
    RETURNED = "returned"
    """The job runs again as before the restart."""


ANNOUNCING = frozenset({Step.SUBMIT, Step.ENDPOINT, Step.STOP, Step.BACK})
"""After these something may be under way in Dinky."""
RESTART_STEPS = frozenset({Step.ENDPOINT, Step.STOP, Step.STOPPED, Step.BACK, Step.RETURNED})


@dataclass(frozen=True)
class Intent:
    """One entry.

    :param run_key: whose it is.
    :param sent_at: when, in seconds since 1970.
    :param patience: seconds that what was about to be sent may take in the server.
    :param baseline: id of the task's newest job instance before; 0 for none.
    :param history_baseline: id of the task's newest submit in Dinky's history before; 0 for none; None if that was
        not read: an anonymous caller cannot, and earlier versions did not.
    :param resume_from: savepoint the new job starts from.
    :param taken: savepoint the old job was stopped with.
    :param known_savepoint: the newest savepoint Dinky knew before.
    :param known_savepoint_id: its id; None where that was not written down.
    :param newest: for a way back: id of the task's newest job instance before it, which may be the job that failed.
    :param stopped_with: savepoint that the started job was stopped with when its task was killed or timed out.
    :param job: the started job, as ``FollowedJob.to_dict`` gives it.
    """

    run_key: str
    step: Step
    sent_at: float
    patience: float
    baseline: int = 0
    resume_from: str | None = None
    taken: str | None = None
    known_savepoint: str | None = None
    known_savepoint_id: int | None = None
    newest: int = 0
    job: Mapping[str, Any] = field(default_factory=dict)
    history_baseline: int | None = None
    stopped_with: str | None = None

    @property
    def settled_at(self) -> float:
        """When what was sent can no longer be under way, in seconds since 1970."""
        return self.sent_at + self.patience

    @property
    def is_of_a_restart(self) -> bool:
        """Whether it is one of a restart, and not of a plain start."""
        return self.taken is not None or self.step in RESTART_STEPS

    def then(self, step: Step, **changes: Any) -> Intent:
        """The entry of the step after this one.

        What Dinky's history held before the step before is not taken over to one that sends something.
        """
        if step in ANNOUNCING:
            changes.setdefault("history_baseline", None)
        return replace(self, step=step, **changes)

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "step": self.step.value}

    @classmethod
    def from_json(cls, stored: Any) -> Intent | None:
        """Out of :meth:`to_json`; None for None, fields of another version are ignored.

        :raises ValueError: it is no entry.
        """
        if stored is None:
            return None
        if not isinstance(stored, Mapping):
            raise ValueError(f"expected an object, got {type(stored).__name__}")
        known = {name: value for name, value in stored.items() if name in cls.__dataclass_fields__}
        try:
            entry = cls(**{**known, "step": Step(known.get("step"))})
        except TypeError as error:
            raise ValueError(str(error)) from error
        numbers = (entry.sent_at, entry.patience, entry.baseline, entry.newest)
        if not (
            all(isinstance(value, (int, float)) for value in numbers)
            and isinstance(entry.job, Mapping)
            and isinstance(entry.history_baseline, (int, type(None)))
        ):
            raise ValueError("a value of another kind than expected")
        return entry


MOST_GENERATIONS = 100
"""Generations before this one that are looked for; their numbers count tries, so most are of none."""


def earlier_keys(run_key: str) -> Iterator[str]:
    """The run keys that the generations before this one may have had, newest first; none if it was never cleared."""
    task, _, generation = run_key.rpartition("/")
    number = int(generation) if generation.isdecimal() else 0
    for earlier in range(number - 1, max(-1, number - 1 - MOST_GENERATIONS), -1):
        yield f"{task}/{earlier}"


class Store(Protocol):
    """Where entries are kept: Airflow's task state store."""

    def get(self, key: str) -> Any:
        """The value of a key, or None."""

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Keep a value for the time given."""


class Journal:
    """The entries of one Airflow task run, the last one counts.

    :param store: None where Airflow has none; then an entry lives as long as the try.
    """

    def __init__(self, store: Store | None, run_key: str) -> None:
        self._store = store
        self._run_key = run_key
        self._key = _store_key(run_key)
        self._last: Intent | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the next try will see the entries."""
        return self._store is not None

    def last(self) -> Intent | None:
        """The last entry of this run, of this try or an earlier one.

        :raises AmbiguousSubmitError: there is one, and it cannot be read, so nobody can tell what is under way.
        """
        if self._last is None and self._store is not None:
            kept = self._store.get(self._key)
            try:
                stored = Intent.from_json(kept)
            except ValueError as error:
                raise AmbiguousSubmitError(
                    f"the entry {self._key!r} in Airflow's task state store cannot be read ({error}), perhaps because "
                    f"another version of this provider wrote it: {kept}. Nothing was done, since what an earlier try "
                    "has sent may be under way. Look into Dinky what stands, then clear the task to start anew"
                ) from error
            if stored is not None and stored.run_key == self._run_key:
                self._last = stored
        return self._last

    def before_the_clear(self) -> Intent | None:
        """The last entry of the newest generation before this one that has left any; None if there is none.

        One that cannot be read counts as none: a clear is what a person was asked for because of it.
        """
        if self._store is None:
            return None
        for run_key in earlier_keys(self._run_key):
            kept = self._store.get(_store_key(run_key))
            if kept is None:
                continue
            try:
                entry = Intent.from_json(kept)
            except ValueError as error:
                log.warning("What was written down before the clear cannot be read (%s): %s", error, kept)
                return None
            return entry if entry is not None and entry.run_key == run_key else None
        return None

    def announce(self, intent: Intent) -> None:
        """Write down what is about to be done; if that fails, it must not be done."""
        if self._store is not None:
            self._store.set(self._key, intent.to_json(), retention=timedelta.max)
        self._last = intent

    def note(self, intent: Intent) -> None:
        """Write down what has been done; if that fails, the next try finds out by itself."""
        try:
            self.announce(intent)
        except Exception:
            self._last = intent
            log.exception("The task state store could not be written; a retry will have to look: %s", intent)


def _store_key(run_key: str) -> str:
    return f"dinky_{run_key.rpartition('/')[2]}"
