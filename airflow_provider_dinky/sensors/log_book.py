# SPDX-License-Identifier: Apache-2.0
"""What the log of a sensor's try says already, so that no poke says it once more.

In reschedule mode each poke is a process of its own and knows nothing of the ones before. Airflow 3.3 has a task state
store for it; before that nothing is kept: Airflow deletes a task's XComs whenever it starts it again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_dinky._compat import Context, state_store
from airflow_provider_dinky.log_lines import HEARTBEAT

log = logging.getLogger(__name__)

_KEY = "dinky_said"
_KEPT = timedelta(days=7)
"""How long Airflow keeps a note at least: it is only of use while the try goes on, and each line renews it."""


@dataclass(frozen=True)
class Said:
    """What was said last.

    :param what: what it was about, in JSON-able values that are the same as long as nothing has changed.
    :param since: when that was first so, in seconds since 1970.
    :param at: when it was said, in seconds since 1970.
    """

    what: Any
    since: float
    at: float


class LogBook:
    """Remembers what was said last in the log of this try.

    :param rescheduled: whether the next poke will be another process.
    """

    def __init__(self, context: Context, rescheduled: bool) -> None:
        ti: Any = context["ti"]
        self._try = getattr(ti, "try_number", None)
        self._store = state_store(context) if rescheduled else None
        self.forgets = rescheduled and self._store is None
        """Whether nothing is remembered until the next poke, so that this one should be brief."""
        self.said = self._read()

    def note(self, what: Any) -> None:
        """Remember what has just been said."""
        now = time.time()
        self.said = Said(what, self.said.since if self.said and self.said.what == what else now, now)
        if self._store is None:
            return
        try:
            self._store.set(_KEY, {"try": self._try, **asdict(self.said)}, retention=_KEPT)
        except Exception:
            log.debug("The task state store could not be written; a line will come once more", exc_info=True)

    def silent_for(self) -> float:
        """Seconds since something was said; 0 if nothing has been."""
        return max(0.0, time.time() - self.said.at) if self.said else 0.0

    def lasts_for(self, what: Any) -> float:
        """Seconds that something has been so, as far as is remembered."""
        return max(0.0, time.time() - self.said.since) if self.said and self.said.what == what else 0.0

    def is_due(self, what: Any) -> bool:
        """Whether something is worth a line: it is news, or nothing has been said for long."""
        return self.said is None or self.said.what != what or self.silent_for() >= HEARTBEAT

    def _read(self) -> Said | None:
        if self._store is None:
            return None
        try:
            kept = self._store.get(_KEY)
            # Another try has a log of its own.
            if not isinstance(kept, dict) or kept["try"] != self._try:
                return None
            return Said(kept["what"], float(kept["since"]), float(kept["at"]))
        except Exception:
            log.debug("The task state store could not be read; a line may come once more", exc_info=True)
            return None
