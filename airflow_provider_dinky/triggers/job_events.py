# SPDX-License-Identifier: Apache-2.0
"""The trigger that turns changes of a Dinky task into asset events."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_dinky._compat import BaseEventTrigger
from airflow_provider_dinky.changes import (
    DOWN_AFTER,
    SETTLE,
    UNKNOWN_TIMEOUT,
    Change,
    Changes,
    EventKind,
    Memory,
)
from airflow_provider_dinky.followed import stopped_key
from airflow_provider_dinky.get_provider_info import DEFAULT_CONNECTION
from airflow_provider_dinky.job import Seen
from airflow_provider_dinky.parameters import choice, seconds

if TYPE_CHECKING:
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.event_payload import Facts
    from airflow_provider_dinky.triggers.event_memory import EventMemory
    from airflow_provider_dinky.watcher import Board, WatchedTasks

FACTS_PATIENCE = 10.0
"""Seconds for what an event tells beyond the change itself."""
ARRIVED_AFTER = 5.0
"""Seconds after which Airflow counts as having stored an event: it does so about once a second."""
PREVIOUS_TRIES = 20
"""Looks at which Dinky may not tell what became of an earlier run before that is left open."""


class JobStatusEventTrigger(BaseEventTrigger):
    """Yields an event for each change of a Dinky task that is wanted; for an ``AssetWatcher``.

    All the triggers of one triggerer that use the same connection share one poll loop, one session and one sign-in,
    also with the tasks that are deferred: see :mod:`airflow_provider_dinky.watcher`. Dinky's troubles are waited out.

    Each change is told once. On Airflow 3.3, what has been seen and told is kept in the asset's state store: a change
    that nobody watched is told when the triggerer is back. If the triggerer dies within seconds of an event, that
    comes twice, with the same ``event_id``. On Airflow 3.0 to 3.2, and where several assets share the trigger,
    the memory is as old as the triggerer: after its restart a task that is FAILED then is told once more (the
    ``event_id`` of FAILED, CANCELED and FINISHED is still the same). What comes and goes between two looks is not seen,
    except that the run seen last has failed.

    The payload: ``{"v": 1, "event", "event_id", "dinky_conn_id", "dinky_task_id", "job_instance_id", "job_id",
    "status", "since", "reason", "dinky_url", "flink_url", "newest_savepoint", "newest_checkpoint"}``, with None for
    what cannot be had; ``since`` is when the state was first seen, in ISO format, UTC. Of an UNKNOWN job ``gone`` says
    whether Flink does not know it any more, so that it has ended.

    :param dinky_task_id: Dinky's id of the task.
    :param dinky_conn_id: the Airflow connection.
    :param states: what is told: ``FAILED``; ``CANCELED`` and ``FINISHED`` (not if Airflow itself stopped the job in a
        task that has the asset as inlet or outlet); ``UNKNOWN`` (Dinky has lost sight of the job); ``RUNNING`` (again,
        after one of these); ``DOWN`` (no active job).
    :param poll_interval: seconds between looks.
    :param settle: seconds within which a newer job makes a CANCELED or FINISHED one a restart, which is no event.
    :param unknown_timeout: seconds a job may be out of sight before that is told.
    :param down_after: seconds without an active job before that is told.
    :param job_manager_address: ``host:port`` of the job manager; for what only Flink tells where the connection has no
        credentials and allows Flink REST.
    :raises ValueError: a parameter cannot be used.
    """

    def __init__(
        self,
        dinky_task_id: int,
        dinky_conn_id: str = DEFAULT_CONNECTION,
        states: Sequence[str] | str = ("FAILED", "CANCELED", "UNKNOWN"),
        poll_interval: float = 30.0,
        settle: float = SETTLE,
        unknown_timeout: float = UNKNOWN_TIMEOUT,
        down_after: float = DOWN_AFTER,
        job_manager_address: str | None = None,
    ) -> None:
        super().__init__()
        if isinstance(dinky_task_id, bool) or not isinstance(dinky_task_id, int) or dinky_task_id < 1:
            raise ValueError(f"dinky_task_id must be Dinky's id of the task, a number, not {dinky_task_id!r}")
        wanted = (states,) if isinstance(states, str) else tuple(states)
        if not wanted:
            raise ValueError("states must name at least one state")
        self.dinky_task_id = dinky_task_id
        self.dinky_conn_id = dinky_conn_id
        self.states = [str(choice("states", state, EventKind.__members__)) for state in wanted]
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.settle = seconds("settle", settle)
        self.unknown_timeout = seconds("unknown_timeout", unknown_timeout)
        self.down_after = seconds("down_after", down_after)
        self.job_manager_address = job_manager_address
        kinds = frozenset(EventKind(state) for state in self.states)
        self._rules = Changes(kinds, self.settle, self.unknown_timeout, self.down_after)
        self._memory: EventMemory | None = None
        self._untold: tuple[Memory, float] | None = None
        self._unknown_looks = 0
        self._said: str | None = None
        self._stopped: int | None = None
        self._leave: Callable[[], None] = lambda: None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "dinky_task_id": self.dinky_task_id,
                "dinky_conn_id": self.dinky_conn_id,
                "states": self.states,
                "poll_interval": self.poll_interval,
                "settle": self.settle,
                "unknown_timeout": self.unknown_timeout,
                "down_after": self.down_after,
                "job_manager_address": self.job_manager_address,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """All the triggers of a connection share one stream of boards (Airflow 3.3 on)."""
        return ("dinky", self.dinky_conn_id)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """The boards of a connection, with the tasks of all the triggers that filter this stream."""
        from airflow_provider_dinky.watcher import board, watched_tasks

        conn_id = kwargs["dinky_conn_id"]
        async with aclosing(board(conn_id, _reads(conn_id), watched_tasks(conn_id))) as boards:
            async for one in boards:
                yield one

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """The events of this trigger's task."""
        from airflow_provider_dinky.watcher import watched_tasks

        async with aclosing(self._events(shared_stream, watched_tasks(self.dinky_conn_id))) as events:
            async for event in events:
                yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The events of this trigger's task, from boards of its own (Airflow up to 3.2)."""
        from airflow_provider_dinky.watcher import WatchedTasks, board

        watched = WatchedTasks()
        async with (
            aclosing(board(self.dinky_conn_id, _reads(self.dinky_conn_id), watched)) as boards,
            aclosing(self._events(boards, watched)) as events,
        ):
            async for event in events:
                yield event

    async def cleanup(self) -> None:
        """Watch the task no more."""
        self._leave()

    async def _events(
        self, boards: AsyncIterator[Board], watched: WatchedTasks
    ) -> AsyncGenerator[TriggerEvent, None]:
        from airflow_provider_dinky.diagnostics import versions
        from airflow_provider_dinky.triggers.event_memory import EventMemory

        who = object()
        self._leave = lambda: watched.leave(who)
        watched.enter(who, self.dinky_task_id, self.poll_interval)
        store = getattr(self, "asset_state_store", None)
        self._memory = EventMemory(store, self._key(), stopped_key(self.dinky_task_id), self.log)
        try:
            async for one in boards:
                events: list[TriggerEvent] = []
                try:
                    events = await self._look(one)
                except Exception:
                    self.log.exception("This look is left out; please report it with: %s", versions())
                for event in events:
                    yield event
        finally:
            watched.leave(who)

    async def _look(self, board: Board) -> list[TriggerEvent]:
        if self._memory is None:
            return []
        await self._keep_what_has_arrived(self._memory)
        if self.dinky_task_id in board.unreadable:
            self._cannot_watch(board.unreadable[self.dinky_task_id])
        # One change after the other: before the one is kept, nothing of the next may be.
        if self.dinky_task_id not in board.runs or self._untold or not await self._memory.load():
            return []
        self._said = None
        newest, before = board.runs[self.dinky_task_id], self._memory.now
        seen = _seen(newest)
        earlier: JobInstance | None = None
        if (unfinished := self._rules.unfinished(before, seen)) is not None:
            is_known, earlier = await self._what_became_of(unfinished)
            if not is_known:
                return []
        stopped = await self._stopped_by_airflow(self._memory, newest)
        memory, changes = self._rules.observe(
            before, seen, board.time, previous=_seen(earlier), stopped_by_airflow=stopped
        )
        # The change itself is kept first: its event would be the same one if it had to be sent again.
        await self._memory.keep(memory.before(changes))
        runs = {run.id: run for run in (earlier, newest) if run is not None}
        events = [
            await self._event(change, runs.get(change.job_instance_id or 0), newest) for change in changes
        ]
        self._memory.now = memory
        if events:
            self._untold = memory, asyncio.get_running_loop().time()
        return events

    async def _keep_what_has_arrived(self, kept: EventMemory) -> None:
        """Write down that events were told, but only when Airflow has stored them: better twice than never."""
        if self._untold is not None:
            memory, told_at = self._untold
            if asyncio.get_running_loop().time() - told_at >= ARRIVED_AFTER:
                self._untold = None
                await kept.keep(memory)

    async def _what_became_of(self, job_instance_id: int) -> tuple[bool, JobInstance | None]:
        """Whether that is known, and the run; None for one that Dinky does not know any more."""
        from airflow_provider_dinky.client import calls
        from airflow_provider_dinky.client.calls import ApiCall
        from airflow_provider_dinky.client.errors import DinkyError, DinkyRefusedError
        from airflow_provider_dinky.watcher import ask

        def steps(config: DinkyConfig) -> Any:
            call: ApiCall[JobInstance] = calls.get_job_instance(job_instance_id)
            return (yield call)

        run: JobInstance | None = None
        try:
            run = await ask(self.dinky_conn_id, _reads(self.dinky_conn_id), steps)
        except DinkyRefusedError:
            self._unknown_looks = 0
            return True, None
        except DinkyError as error:
            self._unknown_looks += 1
            if self._unknown_looks < PREVIOUS_TRIES:
                return False, None
            self.log.warning("What became of job instance %s cannot be had: %s", job_instance_id, error)
        self._unknown_looks = 0
        # Numbers begin anew with a Dinky whose database was lost.
        is_of_task = run is not None and run.dinky_task_id in (None, self.dinky_task_id)
        return True, run if is_of_task else None

    async def _stopped_by_airflow(self, kept: EventMemory, newest: JobInstance | None) -> int | None:
        if newest is None or not newest.status.is_final or newest.id == self._stopped:
            return self._stopped
        self._stopped = await kept.stopped_by_airflow()
        return self._stopped

    async def _event(
        self, change: Change, run: JobInstance | None, newest: JobInstance | None
    ) -> TriggerEvent:
        from asgiref.sync import sync_to_async

        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.diagnostics import versions
        from airflow_provider_dinky.event_payload import Facts

        facts = Facts(self.dinky_conn_id, self.dinky_task_id, change, run, newest, self.job_manager_address)
        reads = _reads(self.dinky_conn_id)
        try:
            await self._why_unknown(facts)
            await asyncio.wait_for(self._find_out(facts, reads), FACTS_PATIENCE)
        except (DinkyError, asyncio.TimeoutError) as error:
            self.log.debug("Not all is known of the change: %r", error)
        except Exception:
            self.log.exception("Not all is known of the change; please report it with: %s", versions())
        if facts.reason is None:
            with suppress(Exception):
                facts.know(await sync_to_async(reads)())
        payload = facts.payload()
        self.log.info("Dinky task %s: %s: %s", self.dinky_task_id, change.kind, payload["reason"])
        return TriggerEvent(payload)

    async def _why_unknown(self, facts: Facts) -> None:
        """Whether Flink does not know the job any more: said twice, and between that nobody is held up."""
        from airflow_provider_dinky.client.errors import DinkyError
        from airflow_provider_dinky.client.status import JobStatus
        from airflow_provider_dinky.jobs.gone import CONFIRM_AFTER
        from airflow_provider_dinky.operations.inspect_job import inspect_unknown
        from airflow_provider_dinky.watcher import ask

        run = facts.run
        if run is None or facts.change.kind is not EventKind.UNKNOWN or run.status != JobStatus.UNKNOWN:
            return
        try:
            for pause in (CONFIRM_AFTER, 0.0):
                seen = await ask(
                    self.dinky_conn_id,
                    _reads(self.dinky_conn_id),
                    lambda config: inspect_unknown(config, run.id, run.job_id, self.job_manager_address),
                )
                if not seen.is_gone:
                    break
                await asyncio.sleep(pause)
        except DinkyError as error:
            self.log.debug("Whether Flink knows job instance %s cannot be had: %s", run.id, error)
        else:
            facts.unknown = seen if seen.status == JobStatus.UNKNOWN else None

    async def _find_out(self, facts: Facts, reads: Callable[[], DinkyConfig]) -> None:
        from airflow_provider_dinky.event_payload import fact_steps
        from airflow_provider_dinky.watcher import ask

        await ask(self.dinky_conn_id, reads, lambda config: fact_steps(config, facts))
        if facts.look is not None:
            # A disk may let one wait for long, and all triggers of this triggerer with it.
            facts.know_state(await asyncio.to_thread(facts.look))

    def _cannot_watch(self, why: str) -> None:
        if why != self._said:
            self._said = why
            self.log.warning("Dinky task %s cannot be watched, trying on: %s", self.dinky_task_id, why)

    def _key(self) -> str:
        # Whoever wants to be told of other states begins anew with them.
        what = "/".join([self.dinky_conn_id, *sorted(self.states)])
        return f"dinky_task_{self.dinky_task_id}_{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def _seen(run: JobInstance | None) -> Seen | None:
    return None if run is None else Seen(run.id, run.status)


def _reads(conn_id: str) -> Callable[[], DinkyConfig]:
    def read_config() -> DinkyConfig:
        from airflow_provider_dinky.hooks.dinky import DinkyHook

        return DinkyHook(conn_id).config

    return read_config
