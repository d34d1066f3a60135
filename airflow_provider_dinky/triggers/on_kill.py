# SPDX-License-Identifier: Apache-2.0
"""Stopping the job of a deferred task that a user has ended: only with Airflow's word that it was a user.

Airflow calls ``on_kill`` for every trigger that is not the triggerer's any more. A triggerer that stood still for too
long (on a virtual machine that was paused, for instance) finds its triggers given to another one, and would stop
healthy jobs.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from airflow_provider_dinky._compat import state_in_airflow
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.followed import FollowedJob, stop_steps
from airflow_provider_dinky.watcher import ask

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig

log = logging.getLogger(__name__)

STOP_TIMEOUT = 10.0
"""Seconds for stopping the job."""
ASK_TIMEOUT = 120.0
"""Seconds for asking Airflow: at its first question a triggerer loads its API, which took 36 s on a busy machine."""
BEAT = 1.0
"""Seconds between two signs of life of an event loop with triggers."""
STOOD_STILL = 10.0
"""Seconds without such a sign after which the triggerer may have lost its triggers to another one."""
FORGOTTEN_AFTER = 120.0
"""Seconds for which that is remembered."""

ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")

_running: set[asyncio.Task[None]] = set()
"""What stops jobs now: an event loop keeps no strong reference to its tasks."""


def user_has_ended(state: str | None, try_number: int | None, own_try: int | None) -> bool | None:
    """Whether a task that was deferred in a try has been ended by a user; None if that is not known.

    :param state: the task instance's state in Airflow now; None after a clear, until it is scheduled again.
    :param try_number: its try now; None where that is not known.
    :param own_try: the try that was deferred.
    """
    if state == "deferred":
        return False
    if state is None or state in ENDED:
        return True
    if try_number is None or own_try is None:
        return None
    # In the same try it goes on after its deferral, with an event of another triggerer's.
    return try_number > own_try


class Pulse:
    """Notices when an event loop has stood still; runs while there are triggers on it."""

    def __init__(self) -> None:
        self._users = 0
        self._last = time.time()
        self._stood_still_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        """A trigger more."""
        self._users += 1
        if self._users == 1:
            self._last = time.time()
            self._beat()

    def leave(self) -> None:
        """A trigger less."""
        self._users -= 1
        self._look()
        if not self._users and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def stood_still(self) -> bool:
        """Whether the loop has stood still lately."""
        self._look()
        return time.time() - self._stood_still_at < FORGOTTEN_AFTER

    def _look(self) -> None:
        # A wall clock, since others may stop while a machine is paused.
        now = time.time()
        if self._timer is not None and now - self._last > STOOD_STILL:
            self._stood_still_at = now
        self._last = now

    def _beat(self) -> None:
        self._look()
        self._timer = asyncio.get_running_loop().call_later(BEAT, self._beat)


_pulses: WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = WeakKeyDictionary()


def pulse() -> Pulse:
    """The running event loop's."""
    return _pulses.setdefault(asyncio.get_running_loop(), Pulse())


@dataclass(frozen=True)
class Stop:
    """What stops a job, if a user has ended its task.

    :param task_instance: Airflow's, as the triggerer has given it to the trigger.
    :param read_config: reads the connection; called in a thread.
    :param log: the trigger's logger.
    """

    job: FollowedJob
    how: Literal["cancel", "savepoint"]
    conn_id: str
    task_instance: Any
    read_config: Callable[[], DinkyConfig]
    log: Any

    async def run(self) -> None:
        """Do it in a task of its own: Airflow cancels the trigger's again and again while ``on_kill`` runs."""
        task = asyncio.get_running_loop().create_task(self._run())
        _running.add(task)
        task.add_done_callback(_running.discard)
        await asyncio.shield(task)

    async def _run(self) -> None:
        why_not = await self._why_not()
        if why_not is not None:
            self._say(f"{self._name()} is left alone, although cancel_on_kill={self.how!r}: {why_not}")
            return
        try:
            steps = ask(self.conn_id, self.read_config, lambda config: stop_steps(self.job, self.how, config))
            done = await asyncio.wait_for(steps, STOP_TIMEOUT)
            self._say(f"The task was ended: {done}")
        except asyncio.TimeoutError:
            self._not_known(f"no answer within {STOP_TIMEOUT:g} s")
        except DinkyError as error:
            self._not_known(error)
        except Exception as error:
            self._not_known(repr(error))

    async def _why_not(self) -> str | None:
        if pulse().stood_still:
            return "the triggerer has stood still, so another one may follow the job now"
        own_try = getattr(self.task_instance, "try_number", None)
        try:
            state, try_number = await asyncio.wait_for(state_in_airflow(self.task_instance), ASK_TIMEOUT)
        except Exception as error:
            return f"Airflow does not say whether a user has ended the task ({error!r})"
        ended = user_has_ended(state, try_number, own_try)
        if ended:
            return None
        if ended is None:
            return f"its task is {state}, and Airflow does not say in which try"
        return f"its task is {state}, which no user has ended"

    def _not_known(self, why: object) -> None:
        self._say(f"The task was ended; whether {self._name()} was stopped is not known: {why}")

    def _say(self, line: str) -> None:
        self.log.warning("%s", line)
        # The task's log may take no more lines; the triggerer's own does.
        contextvars.Context().run(log.warning, "Connection '%s': %s", self.conn_id, line)

    def _name(self) -> str:
        return str(self.job)
