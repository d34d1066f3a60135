# SPDX-License-Identifier: Apache-2.0
"""The few endpoints of Dinky that a poll loop uses, on the test's own event loop, counting all that a client does.

The sandbox says what a Dinky says; this one says how it was asked: when, for what, over how many connections.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from airflow_provider_dinky.client.config import DinkyConfig

LIST = "/api/jobInstance"
SINGLE = "/openapi/getJobInstance"
NEWEST = "/openapi/getJobInstanceByTaskId"
REFRESH = "/api/jobInstance/refreshJobInfoDetail"
SIGN_IN = "/api/login"

Answer = Callable[[web.BaseRequest], web.StreamResponse]


@dataclass(frozen=True)
class Asked:
    """A request: when it came (on the event loop's clock), its path, and the jobs it asks for."""

    time: float
    path: str
    ids: tuple[int, ...]


class SmallDinky:
    """Serves until the ``async with`` block ends.

    :param takes: seconds until it answers.
    """

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.status: dict[int, str] = defaultdict(lambda: "RUNNING")
        self.newest: dict[int, int | None] = {}
        """The newest run of a task, where it is not the one with the task's own number; it lists no other tasks."""
        self.unknown: set[int] = set()
        """Jobs and tasks it has never heard of."""
        self.unlisted: set[int] = set()
        """Jobs and tasks it leaves out of lists."""
        self.instead: dict[str, Answer] = {}
        """Other answers, by path; the path "" stands for all."""
        self.asked: list[Asked] = []
        self.at_once = 0
        self.most_at_once = 0
        self.most_connections = 0
        self.token = ""
        self._tokens = itertools.count(1)
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.1)
        self.url = ""

    async def __aenter__(self) -> SmallDinky:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def anonymous(self) -> DinkyConfig:
        return DinkyConfig(self.url)

    @property
    def signed_in(self) -> DinkyConfig:
        return DinkyConfig(self.url, username="admin", password="admin")

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._runner.server.connections) if self._runner.server else 0

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)

    def looks(self) -> Counter[int]:
        """How often each job was asked for, in whatever way."""
        return Counter(job for asked in self.asked for job in asked.ids)

    def looks_at(self, job: int) -> list[float]:
        """When a job was asked for."""
        return [asked.time for asked in self.asked if job in asked.ids]

    def forget_what_was_asked(self) -> None:
        self.asked.clear()
        self.most_at_once = self.most_connections = 0

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        ids = await _ids(request)
        self.asked.append(Asked(asyncio.get_running_loop().time(), request.path, ids))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.most_connections = max(self.most_connections, self.connections)
        try:
            await asyncio.sleep(self.takes)
            instead = self.instead.get(request.path) or self.instead.get("")
            return instead(request) if instead else await self._answer(request, ids)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.BaseRequest, ids: tuple[int, ...]) -> web.StreamResponse:
        if request.path == SIGN_IN:
            self.token = f"token-{next(self._tokens)}"
            answer = envelope({})
            answer.set_cookie("token", self.token)
            return answer
        if request.path.startswith("/api/") and request.cookies.get("token") != self.token:
            return envelope(None, code=7, status=401)
        if request.path == LIST and not (body := await request.json())["isHistory"]:
            return self._newest_runs(body)
        if request.path == LIST:
            rows = [self._row(job) for job in ids if job not in self.unknown | self.unlisted]
            return web.json_response({"total": len(rows), "success": True, "data": rows})
        if request.path == REFRESH:
            return envelope({"instance": self._row(ids[0])})
        if request.path == SINGLE:
            return self._single(ids[0])
        if request.path == NEWEST:
            return self._newest_run(int(request.query["id"]))
        return envelope(None)

    def _single(self, job: int) -> web.Response:
        if job in self.unknown:
            return envelope(None, code=1, msg="Job Instance Not Exist")
        return envelope(self._row(job))

    def _newest_run(self, task: int) -> web.Response:
        if task in self.unknown:
            return envelope(None, code=1, msg="Task Not Exist")
        run = self.newest.get(task, task)
        return envelope(None if run is None else {**self._row(run), "taskId": task})

    def _newest_runs(self, body: dict[str, Any]) -> web.Response:
        listed = {run: task for task, run in self.newest.items() if run and task not in self.unlisted}
        rows = [{**self._row(run), "taskId": task} for run, task in sorted(listed.items(), reverse=True)]
        begin = (body["current"] - 1) * body["pageSize"]
        page = rows[begin : begin + body["pageSize"]]
        return web.json_response({"total": len(rows), "success": True, "data": page})

    def _row(self, job: int) -> dict[str, Any]:
        return {"id": job, "jid": f"{job:032x}", "status": self.status[job], "type": "standalone"}


def envelope(data: Any, code: int = 0, msg: str = "", status: int = 200) -> web.Response:
    """An answer as Dinky gives it."""
    return web.json_response({"code": code, "msg": msg, "data": data, "success": code == 0}, status=status)


def bad_gateway(request: web.BaseRequest) -> web.StreamResponse:
    """What a proxy says when Dinky does not answer it."""
    return web.Response(status=502, text="<h1>502 Bad Gateway</h1>", content_type="text/html")


async def _ids(request: web.BaseRequest) -> tuple[int, ...]:
    if request.path == LIST:
        return tuple((await request.json())["filter"].get("id", ()))
    return (int(request.query["id"]),) if request.path in (SINGLE, REFRESH) else ()
