# SPDX-License-Identifier: Apache-2.0
"""Sends the requests of a recording to a sandbox that is set up as the recorded server was."""

from __future__ import annotations

import json
import re
from collections.abc import Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from recorded import Exchange, StatusWalk

from airflow_provider_dinky.sandbox.clock import Clock, VirtualClock
from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.engine import Engine
from airflow_provider_dinky.sandbox.messages import Request, Response
from airflow_provider_dinky.sandbox.tasks import Kind, TaskSpec
from airflow_provider_dinky.sandbox.timing import Timing
from airflow_provider_dinky.sandbox.versions import version

T = TypeVar("T")

PASSWORD = "dinky123!@#"
FLINK = "127.0.0.1:8081"

# Looks come at fixed times, so that each replayed answer is in the state of the recorded one.
TIMING = Timing(
    submit=0.1,
    first_submit=0.1,
    savepoint=0.1,
    job_stop=(0.3, 0.3),
    first_look=(1.5, 1.5),
    look_every=(1.0, 1.0),
)

_SOURCE = "CREATE TABLE src (id BIGINT, name STRING) WITH ('connector'='datagen','rows-per-second'="
_SINK = "CREATE TABLE snk (id BIGINT, name STRING) WITH ('connector'='blackhole');"
_INSERT = "INSERT INTO snk SELECT id, name FROM src;"
_NOT_A_NUMBER = (
    "java.lang.NumberFormatException: For input string: '2b5a8f8242fe778cf221dd1a3b70f36b0215090cdadec1d9"
    "eedebbac6252e472e999f95618dfa99d59774c769bbda83908bb'. Invalid character found."
)
_NOT_A_NUMBER_1_2 = (
    "java.lang.NumberFormatException: For input string: '46cb2b313157d56cd3552f69da1789e8e6c4646fc5e5db356d65a"
    "fd2bad57cefa128103dae0ea4e3849fe9871c478b80e123'. Invalid character found."
)
_NO_RELATION = (
    'org.postgresql.util.PSQLException: ERROR: relation "does_not_exist" does not exist\n  Position: 15'
)


def _stream(task_id: int, name: str = "stream_orders", comment: str = "") -> TaskSpec:
    return TaskSpec(task_id, name, "streaming", f"{_SOURCE}'1');\n{_SINK}\n{_INSERT}{comment}")


def _bounded(task_id: int) -> TaskSpec:
    sql = f"{_SOURCE}'3','number-of-rows'='30');\n{_SINK}\n{_INSERT}"
    return TaskSpec(task_id, "bounded_batch", "bounded", sql, runs_for=10.2)


def _failing(task_id: int, error: str = _NOT_A_NUMBER) -> TaskSpec:
    sql = (
        f"{_SOURCE}'3','number-of-rows'='30');\n"
        "CREATE TABLE bad (id BIGINT) WITH ('connector'='blackhole');\n"
        "INSERT INTO bad SELECT CAST(name AS BIGINT) FROM src;"
    )
    return TaskSpec(task_id, "fails_at_runtime", "failing", sql, fails_after=1.6, error=error)


def _bad_sql(task_id: int) -> TaskSpec:
    return TaskSpec(task_id, "bad_sql", "rejected", "INSERT INTO nowhere SELEC 1;")


def _variables(task_id: int, kind: Kind) -> TaskSpec:
    sql = f"{_SOURCE}'3','number-of-rows'='${{rows}}');\n{_SINK}\n{_INSERT}"
    return TaskSpec(task_id, "with_variables", kind, sql, runs_for=3.2)


_INSERT_ROWS = "create table if not exists t(i int); insert into t values (1),(2);"

_JOIN = (
    "CREATE TABLE orders (id BIGINT, customer BIGINT, amount DECIMAL(10,2)) WITH ('connector'='datagen',"
    "'rows-per-second'='5','number-of-rows'='40');\n"
    "CREATE TABLE customers (id BIGINT, name STRING) WITH ('connector'='datagen',"
    "'rows-per-second'='5','number-of-rows'='40');\n"
    "CREATE TABLE report (name STRING, amount DECIMAL(10,2)) WITH ('connector'='blackhole');\n"
    "INSERT INTO report SELECT c.name, o.amount FROM orders o JOIN customers c ON o.customer = c.id;"
)


def _table(number: int, name: str, *columns: str) -> dict[str, Any]:
    shown = [{"name": column, "title": column} for column in columns]
    return {"id": str(number), "name": f"default_catalog.default_database.{name}", "columns": shown}


def _relation(number: int, source: int, column: str) -> dict[str, Any]:
    columns = {"srcTableColName": column, "tgtTableColName": column}
    return {"id": str(number), "srcTableId": str(source), "tgtTableId": "3", **columns}


_JOIN_LINEAGE = {
    "tables": [
        _table(4, "orders", "amount"),
        _table(3, "report", "name", "amount"),
        _table(2, "customers", "name"),
    ],
    "relations": [_relation(2, 2, "name"), _relation(3, 4, "amount")],
}

TASKS: Mapping[str, list[TaskSpec]] = {
    "openapi-1.1.0": [
        _stream(2),
        _bounded(3),
        _failing(4),
        _bad_sql(5),
        _variables(6, "bounded"),
        _stream(8, "never_submitted"),
    ],
    "signed-in-1.1.0": [_stream(1), _bounded(2), _failing(3)],
    "signed-in-1.2.0-dev": [_stream(2, comment="\n-- changed"), _bounded(3), _failing(4, _NOT_A_NUMBER_1_2)],
    "tasks-1.1.0": [
        _stream(2),
        _bounded(3),
        _failing(4),
        _bad_sql(5),
        _variables(6, "bounded"),
        *(_stream(number, f"other_{number}") for number in range(7, 13)),
    ],
    "lineage-1.1.0": [TaskSpec(97, "lineage_1795648698", "bounded", _JOIN, lineage=_JOIN_LINEAGE)],
    "run-key-and-sign-in-1.1.0": [_bounded(2), _bad_sql(4), _variables(5, "streaming")],
    "common-sql-1.1.0": [
        TaskSpec(33, "pg_ok", "plain_sql", "select 1 as one, 'x' as s;", rows=({"one": "1", "s": "x"},)),
        TaskSpec(34, "pg_insert", "plain_sql", _INSERT_ROWS, rows=({"status": 1}, {"status": 2})),
        TaskSpec(35, "pg_bad", "plain_sql", "select * from does_not_exist;", error=_NO_RELATION),
    ],
}

_CATALOGUE = "/api/catalogue/"

# Bodies that are no JSON are not in the recordings.
RAW_BODIES = {
    "submit_malformed_json": ("{id: 3}", "application/json"),
    "submit_form_encoded": ("id=3", "application/x-www-form-urlencoded"),
}

# Seconds that passed before exchanges whose answer does not tell the time.
PAUSES = {"list_instances_latest_per_task": 3.0}

# What was there before a recording: requests by method and path, with their bodies.
SETUP: Mapping[str, list[tuple[str, str, dict[str, Any]]]] = {
    "tasks-1.1.0": [
        ("PUT", f"{_CATALOGUE}saveOrUpdateCatalogue", {"name": "team_1795639625", "parentId": 0}),
        ("PUT", f"{_CATALOGUE}saveOrUpdateCatalogue", {"name": "orders", "parentId": 13}),
        (
            "PUT",
            f"{_CATALOGUE}saveOrUpdateCatalogueAndTask",
            {
                "name": "enrich_1795639625",
                "dialect": "FlinkSql",
                "parentId": 13,
                "note": "made by a pipeline",
            },
        ),
    ],
}

# With which token these exchanges were sent: the one issued in Dinky's UI, or that of a login.
TOKENS = {
    "detail_shows_key": "issued",
    "history_shows_key": "issued",
    "history_of_failed_submit": "issued",
    "restart_drops_variables": "issued",
    "first_signed_in": "login_first",
    "first_pushed_offline": "login_first",
    "issued_token_still_in": "issued",
    "wrong_tenant": "login_third",
    "signed_out_by_wrong_tenant": "login_third",
    "task_by_id_shows_newest_instance": "issued",
}


class Pace(Clock, Protocol):
    """A sandbox's time, and how a replay lets it pass."""

    async def advance(self, seconds: float) -> None: ...

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


class Replay:
    """A sandbox and what of a recording has to be translated for it: ids, paths, tokens.

    :param engine: what runs its jobs, at its own ``pace``; simulated jobs on a virtual clock without.
    """

    def __init__(
        self,
        source: str,
        savepoints: Path,
        *,
        engine: Engine | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.clock: Pace = pace or VirtualClock()
        self.version = version("1.2" if "1.2.0" in source else "1.1")
        self.core = SandboxCore(
            tasks=TASKS[source],
            clock=self.clock,
            engine=engine,
            address=FLINK,
            password=PASSWORD,
            quirks=False,
            savepoints=savepoints,
            timing=TIMING,
            seed=1,
            dinky=self.version.name,
        )
        self._tokens = {"issued": self.core.sessions.issue()}
        self.core.sessions.restart(keep_memory=True)
        self._instances: dict[int, int] = {}
        self._texts: dict[str, str] = {FLINK: self.core.engine.address}
        self._time: datetime | None = None
        self._setup = SETUP.get(source, [])
        self._token_of_source = "issued" if source in ("tasks-1.1.0", "lineage-1.1.0") else None

    async def set_up(self) -> None:
        """Bring about what was there when the recording began."""
        for method, path, body in self._setup:
            request = Request.of(method, path, json=body, token=self._tokens["issued"])
            await self.clock.run(self.core.handle(request))

    async def send(self, exchange: Exchange) -> Response:
        """Send one recorded request, as much later than the one before as it was recorded."""
        await self._let_time_pass(exchange)
        response = await self.clock.run(self.core.handle(self._request(exchange)))
        self._learn(exchange, response)
        return response

    async def follow(self, walk: StatusWalk) -> list[str]:
        """Poll the newest job until it is where the recorded one ended; return the states on the way."""
        instance = self.core.dinky.store.instances[max(self.core.dinky.store.instances)]
        seen = [instance.status]
        for _ in range(300):
            if seen[-1] == walk.statuses[-1][1]:
                break
            await self.clock.advance(0.1)
            if instance.status != seen[-1]:
                seen.append(instance.status)
        self._time = None
        return seen

    async def _let_time_pass(self, exchange: Exchange) -> None:
        await self.clock.advance(PAUSES.get(exchange.name, 0.0))
        if not isinstance(exchange.body, dict) or "time" not in exchange.body:
            return
        time = datetime.strptime(exchange.body["time"], "%Y-%m-%d %H:%M:%S")
        if self._time is not None:
            await self.clock.advance(max(0.0, (time - self._time).total_seconds()))
        self._time = time

    def _request(self, exchange: Exchange) -> Request:
        body, content_type = RAW_BODIES.get(exchange.name, ("", ""))
        if exchange.json is not None:
            body, content_type = json.dumps(self._translated(exchange.json)), "application/json"
        headers = {"content-type": content_type} if content_type else {}
        cookies = {}
        for name, value in (exchange.headers or {}).items():
            headers[name.lower()] = self._texts.get(value, value)
        if "cookie" in headers:
            cookies = dict(pair.split("=", 1) for pair in headers.pop("cookie").split("; "))
        token_name = self.version.token_name
        if token_name in exchange.cookies and "login" not in exchange.name:
            cookies[token_name] = self._tokens["login_ok"]
        if "tenantId" in exchange.cookies:
            cookies["tenantId"] = "1"
        token = TOKENS.get(exchange.name, self._token_of_source)
        if token is not None and not exchange.name.endswith("_anonymous"):
            tenant = "99" if exchange.name == "wrong_tenant" else "1"
            cookies = {"token": self._tokens[token], "tenantId": tenant}
        path = exchange.path.replace(f"http://{FLINK}", "")
        for recorded, mine in self._texts.items():
            path = path.replace(recorded, mine)
        given = exchange.params or {}
        query = {name: self._parameter(exchange, name, value) for name, value in given.items()}
        return Request(exchange.method, path, query, body, headers, cookies)

    def _parameter(self, exchange: Exchange, name: str, value: Any) -> str:
        if name == "id" and re.search(r"getJobInstance$|/jobInstance/", exchange.path):
            value = self._instances.get(value, value)
        return str(value) if isinstance(value, int) else self._texts.get(value, value)

    def _translated(self, body: Any) -> Any:
        ids = body.get("filter", {}).get("id") if isinstance(body, dict) else None
        return {**body, "filter": {"id": [self._instances[one] for one in ids]}} if ids else body

    def _learn(self, exchange: Exchange, response: Response) -> None:
        if exchange.name.startswith("login") and "Set-Cookie" in response.headers:
            token = _token(response.headers["Set-Cookie"])
            self._tokens[exchange.name] = token
            if exchange.set_cookie:
                self._texts[_token(exchange.set_cookie)] = token
        recorded, mine = _data(exchange.body), _data(response.json if response.body else None)
        if recorded.get("jobInstanceId") and "jobId" in recorded and mine.get("jobInstanceId"):
            self._instances[recorded["jobInstanceId"]] = mine["jobInstanceId"]
            self._texts[recorded["jobId"]] = mine["jobId"]
        if recorded.get("jobInfos") and mine.get("jobInfos"):
            self._texts[recorded["jobInfos"][0]["savePoint"]] = mine["jobInfos"][0]["savePoint"]


def _token(cookie: str) -> str:
    return cookie.split(";")[0].partition("=")[2]


def _data(body: Any) -> dict[str, Any]:
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, dict) else {}
