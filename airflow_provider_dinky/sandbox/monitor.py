# SPDX-License-Identifier: Apache-2.0
"""How Dinky comes to know a job's state: it looks now and then, so what it says lags behind Flink."""

from __future__ import annotations

import asyncio
import json
import random

from . import failures
from .clock import Clock
from .engine import ENDED, Engine, EngineUnreachable, JobNotFound, JobSnapshot
from .store import JobInstance
from .timing import Timing

_REFUSED = "ConnectException: Connection refused"
_WRITTEN_EVERY = 60
RUNNING_END = -0.001
"""Flink's end time of a job that has not ended (-1 ms), which Dinky takes for a moment in 1969 or 1970."""


class Monitor:
    """Looks at every active instance at irregular intervals and writes down what it sees.

    ``misses_the_end`` switches on a known Dinky bug: an ended job stays RUNNING until somebody forces a
    refresh.
    """

    def __init__(self, engine: Engine, clock: Clock, timing: Timing, chance: random.Random) -> None:
        self.misses_the_end = False
        self._engine = engine
        self._clock = clock
        self._timing = timing
        self._chance = chance
        self._watching: dict[int, asyncio.Task[None]] = {}

    def watch(self, instance: JobInstance) -> None:
        """Look at the instance from now on until it is done."""
        if instance.id not in self._watching:
            task = asyncio.get_running_loop().create_task(self._watch(instance))
            self._watching[instance.id] = task
            task.add_done_callback(lambda done: self._forget(instance.id, done))

    def look_later(self, instance: JobInstance) -> None:
        """Let some time pass before the next look: a job that was just stopped is shown as it was until then."""
        watching = self._watching.pop(instance.id, None)
        if watching is not None:
            watching.cancel()
            self.watch(instance)

    async def look(self, instance: JobInstance, *, forced: bool = False) -> None:
        """Ask Flink about the instance and write down the answer.

        ``forced`` is what a person's refresh does: it also looks at an instance that Dinky has given up.
        """
        if forced:
            instance.held = False
        try:
            seen = await self._engine.job(instance.jid)
        except EngineUnreachable:
            self._lost_sight(instance, _REFUSED)
        except JobNotFound:
            # Dinky writes Flink's answer as it comes: a list of traces, in JSON.
            self._lost_sight(instance, json.dumps([failures.job_not_found(instance.jid).trace("flink")]))
        else:
            if forced and seen.state in ENDED and instance.task.is_application:
                # Its cluster went with it, and Dinky makes of a right state a wrong one.
                instance.status, instance.error, instance.trouble = "UNKNOWN", _REFUSED, _REFUSED
                return
            if self.misses_the_end and not forced and seen.state in ENDED:
                instance.held = True
            if not instance.held:
                self._write(instance, seen, forced)
        if forced and not instance.done:
            self.watch(instance)

    def stop(self) -> None:
        """Look at nothing any more (the server goes down)."""
        for task in self._watching.values():
            task.cancel()
        self._watching = {}

    def _forget(self, instance_id: int, done: asyncio.Task[None]) -> None:
        # After a restart the place may be taken by the task that watches now.
        if self._watching.get(instance_id) is done:
            del self._watching[instance_id]

    async def _watch(self, instance: JobInstance) -> None:
        interval = self._timing.look_every if instance.looked_at else self._timing.first_look
        while not instance.done and not instance.held:
            await self._clock.sleep(self._chance.uniform(*interval))
            if not instance.done and not instance.held:
                await self.look(instance)
            interval = self._timing.look_every

    def _write(self, instance: JobInstance, seen: JobSnapshot, forced: bool) -> None:
        """Write down what was seen: each change of the state, and else each 60th look only."""
        now = self._clock.now()
        instance.looks = 0 if forced else instance.looks
        is_due = instance.looks % _WRITTEN_EVERY == 0 or instance.status != seen.state or instance.trouble
        instance.looks += 1
        if not is_due:
            return
        instance.status = seen.state
        instance.updated = instance.seen = now
        instance.finished = RUNNING_END if seen.ended is None else seen.ended
        instance.duration = round(((now if seen.ended is None else seen.ended) - seen.started) * 1000)
        instance.error = instance.trouble = None

    def _lost_sight(self, instance: JobInstance, error: str) -> None:
        now = self._clock.now()
        instance.trouble = error
        if instance.status == "UNKNOWN":
            instance.error = error
        if instance.done:
            return
        if instance.status != "RECONNECTING":
            instance.status, instance.finished = "RECONNECTING", now
        elif now - (instance.finished or now) >= self._timing.unknown_after:
            instance.status, instance.error = "UNKNOWN", error
        instance.updated = now
