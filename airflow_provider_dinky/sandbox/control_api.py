# SPDX-License-Identifier: Apache-2.0
"""Orders to the sandbox over HTTP, with ``--control``: ``POST /sandbox/{order}``, parameters as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .engine import JobNotFound
from .java import Refusal
from .messages import Request, Response

if TYPE_CHECKING:
    from .core import SandboxCore


class ControlApi:
    """Turns requests under ``/sandbox/`` into calls of the sandbox's controls."""

    def __init__(self, core: SandboxCore) -> None:
        self._core = core
        self._background: set[asyncio.Task[None]] = set()
        self.orders: dict[str, Callable[..., Any]] = {
            "fault": core.fault,
            "clear_faults": core.clear_faults,
            "ask_for_token": core.ask_for_token,
            "ask_for_header": core.ask_for_header,
            "change_sql": core.change_sql,
            "fail_submits": core.fail_submits,
            "give_up_on_submits": core.give_up_on_submits,
            "other_tenant_busy": core.other_tenant_busy,
            "miss_the_end": core.miss_the_end,
            "set_status": core.set_status,
            "kill_cluster": core.kill_cluster,
            "revive_cluster": core.revive_cluster,
            "restart_cluster": core.restart_cluster,
            "free_slots": core.free_slots,
            "savepoint_directory": core.savepoint_directory,
            "lose_task_manager": core.lose_task_manager,
            "kill_job": core.kill_job,
            "restart_job": core.restart_job,
            "finish_job": core.finish_job,
            "fail_cancels": core.fail_cancels,
            "slow_stop": core.slow_stop,
            "fail_savepoints": core.fail_savepoints,
            "fail_checkpoints": core.fail_checkpoints,
            "restart": self._restart,
        }

    async def handle(self, request: Request) -> Response:
        """Carry out an order; 404 for one that does not exist, 400 for wrong parameters."""
        name = request.path[len("/sandbox/") :].strip("/")
        order = self.orders.get(name)
        if order is None:
            return Response.of({"error": f"unknown order {name!r}", "orders": sorted(self.orders)}, 404)
        if request.method != "POST":
            return Response.of({"error": "orders are given with POST"}, 405)
        parameters = {} if not request.body.strip() else request.json
        if not isinstance(parameters, dict):
            return Response.of({"error": "parameters must be a JSON object"}, 400)
        try:
            order(**parameters)
        except (TypeError, ValueError, Refusal) as error:
            return Response.of({"error": str(error)}, 400)
        except JobNotFound as error:
            return Response.of({"error": f"no Flink job {error}"}, 400)
        return Response.of({"done": name, "parameters": parameters, "faults": self._core.faults.describe()})

    def _restart(self, down_for: float = 0.0, keep_memory: bool = True) -> None:
        async def later() -> None:
            # The answer to this very order has to go out before its connection is cut.
            await asyncio.sleep(0.05)
            await self._core.restart(down_for, keep_memory=keep_memory)

        task = asyncio.get_running_loop().create_task(later())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
