# SPDX-License-Identifier: Apache-2.0
"""What a call of the hook costs over the bare HTTP request, and whether a poll loop keeps its connection.

``python benchmarks/hook_call.py``; the server is a process of its own on loopback. The calls take turns, so that
whatever else the machine does strikes all of them. The bare request is that of a ``requests.Session`` which, like the
hook, does not look for proxies and netrc each time; looking for them costs more than all that the hook adds. The
target for the ratio of the medians is 1.3.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

WARM_UP, CALLS = 50, 2_000
LOOKS = 50
TARGET = 1.3
ANSWER = json.dumps(
    {
        "code": 0,
        "success": True,
        "msg": "",
        "time": 1_700_000_000_000,
        "data": {
            "id": 7,
            "name": "orders_stream",
            "taskId": 1,
            "step": 2,
            "clusterId": 1,
            "jid": "0123456789abcdef0123456789abcdef",
            "status": "RUNNING",
            "historyId": 7,
            "error": None,
            "failedRestartCount": None,
            "duration": 12_345,
            "createTime": "2026-11-22 06:00:00",
            "updateTime": "2026-11-22 06:01:00",
            "finishTime": "1970-01-01 00:00:00",
        },
    }
).encode()


def main() -> int:
    """Print the figures; exit code 1 if a target is missed."""
    import requests

    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        os.environ["AIRFLOW_CONN_DINKY_DEFAULT"] = json.dumps(
            {"conn_type": "dinky", "host": "127.0.0.1", "port": int(url.rpartition(":")[2])}
        )
        with requests.Session() as as_it_comes, requests.Session() as session:
            session.trust_env = False
            ratio = _compare(url, session, as_it_comes)
            with contextlib.redirect_stdout(io.StringIO()):
                kept = [_connections(session, url, loop) for loop in (_hook_loop, _sensor_loop)]
    finally:
        server.terminate()
        server.wait()
    print(f"target for the ratio: {TARGET}: {'met' if ratio <= TARGET else 'missed'}")
    print(f"{LOOKS} looks at a job: {kept[0]} connection(s) with a hook, {kept[1]} with a poking sensor")
    return 0 if ratio <= TARGET and kept == [1, 1] else 1


def _compare(url: str, session: Any, as_it_comes: Any) -> float:
    from airflow_provider_dinky.hooks.dinky import DinkyHook

    def bare(session: Any) -> Any:
        return session.get(f"{url}/openapi/getJobInstance", params={"id": 7}, timeout=(5, 60)).json()

    with DinkyHook() as hook:
        calls: dict[str, Callable[[], Any]] = {
            "hook": lambda: hook.get_job_instance(7),
            "bare": lambda: bare(session),
            "as it comes": lambda: bare(as_it_comes),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(WARM_UP + CALLS):
            for name, call in calls.items():
                took = _timed(call)
                if number >= WARM_UP:
                    seconds[name].append(took)
    ms = {name: statistics.median(taken) * 1000 for name, taken in seconds.items()}
    ratio = ms["hook"] / ms["bare"]
    print(
        f"hook call {ms['hook']:.2f} ms, bare request {ms['bare']:.2f} ms: ratio {ratio:.2f}\n"
        f"(requests.Session as it comes {ms['as it comes']:.2f} ms: ratio {ms['hook'] / ms['as it comes']:.2f}; "
        f"medians of {CALLS} calls each)"
    )
    return ratio


def _connections(session: Any, url: str, loop: Callable[[], None]) -> int:
    before: int = session.get(f"{url}/connections").json()
    loop()
    now: int = session.get(f"{url}/connections").json()
    return now - before


def _hook_loop() -> None:
    from airflow_provider_dinky.hooks.dinky import DinkyHook

    with DinkyHook() as hook:
        for _ in range(LOOKS):
            hook.get_job_instance(7)


def _sensor_loop() -> None:
    from airflow_provider_dinky.sensors.dinky import JobStatusSensor

    sensor = JobStatusSensor(task_id="wait", job_instance_id=7)
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda **_: None)}
    for _ in range(LOOKS):
        sensor.poke(context)


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _serve() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        connections = 0

        def setup(self) -> None:
            type(self).connections += 1
            super().setup()

        def do_GET(self) -> None:
            body = str(self.connections).encode() if self.path == "/connections" else ANSWER
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(_serve() if sys.argv[1:] == ["serve"] else main())
