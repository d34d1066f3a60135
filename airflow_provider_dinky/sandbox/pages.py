# SPDX-License-Identifier: Apache-2.0
"""The one web page of the sandbox, and the data it shows.

It answers the addresses that Dinky's and Flink's links lead to: ``/#/devops/job-detail?id=N`` and
``/#/job/{jid}/overview``. Everything after ``#`` stays in the browser, so one page serves them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import shapes
from .envelope import time_text
from .simulated import SimulatedEngine

if TYPE_CHECKING:
    from .core import SandboxCore
    from .engine import Engine, JobRecord

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


async def state(core: SandboxCore) -> dict[str, Any]:
    """Return all that the page shows: tasks, job instances with their submits, Flink jobs, faults."""
    jobs = await _jobs(core.engine)
    store, address = core.dinky.store, core.engine.address
    return {
        "now": time_text(core.clock.now()),
        "address": address,
        "tasks": [
            {"id": task.id, "name": task.name, "kind": task.kind, "dialect": task.dialect, "sql": task.sql}
            for task in core.dinky.tasks.values()
        ],
        "instances": [shapes.instance(row) for row in reversed(store.instances.values())],
        "histories": [
            shapes.history(row, address, core.dinky.version) for row in reversed(store.histories.values())
        ],
        "savepoints": [shapes.savepoint(row) for row in reversed(store.savepoints.values())],
        "jobs": [
            {
                "jid": job.jid,
                "taskId": job.task_id,
                "name": job.name,
                "state": job.state,
                "variables": dict(job.variables),
                "resumedFrom": job.resumed_from,
                "started": time_text(job.started),
                "ended": None if job.ended is None else time_text(job.ended),
            }
            for job in reversed(jobs)
        ],
        "requests": len(core.requests),
        "faults": core.faults.describe(),
    }


async def _jobs(engine: Engine) -> Sequence[JobRecord]:
    if isinstance(engine, SimulatedEngine):
        return engine.jobs
    # A real Flink is asked over the network, and may keep one waiting.
    return await asyncio.to_thread(lambda: engine.jobs)
