# SPDX-License-Identifier: Apache-2.0
"""Event loops that do not wait: where nothing is left to do but to wait for a timer, their clock is put forward.

What they tell of intervals is then exact, however busy the machine is, and takes no time. For tests whose server is on
the same loop; what another thread does still takes the time that it takes.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from typing import Any

ON_ITS_WAY = 0.0005
"""Seconds in which what one socket of this process has sent reaches another one."""


def quicken(loop: Any) -> None:
    """Let a loop's time pass without waiting, from now on.

    :param loop: one of asyncio's own, with a selector.
    """
    really_select, really_run = loop._selector.select, loop.run_in_executor
    now: float = loop.time()
    threads = 0

    def select(timeout: float | None = None) -> Any:
        nonlocal now
        events = really_select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or threads:
            began = time.monotonic()
            events = really_select(timeout)
            now += time.monotonic() - began
            return events
        events = really_select(ON_ITS_WAY)
        if not events:
            now += timeout
        return events

    def run_in_executor(executor: Executor | None, function: Any, *arguments: Any) -> asyncio.Future[Any]:
        nonlocal threads
        threads += 1
        running: asyncio.Future[Any] = really_run(executor, function, *arguments)
        running.add_done_callback(ended)
        return running

    def ended(_: asyncio.Future[Any]) -> None:
        nonlocal threads
        threads -= 1

    loop.time = lambda: now
    loop.run_in_executor = run_in_executor
    loop._selector.select = select
