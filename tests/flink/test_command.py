# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_provider_dinky.sandbox`` with a real Flink, as users meet it: and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.flink.tasks import TURNOVER_STREAM
from tests.servers import Reply, TinyServer

from .conftest import end_all, until
from .forwarding import ipv6_address
from .orders import rows, sums, wait_for

# Tests that run in a shell's background inherit that nobody's Ctrl-C counts; a command of a user's does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
COMMAND = [sys.executable, "-m", "airflow_provider_dinky.sandbox", "--port", "0"]


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A started sandbox and what it has said."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "AIRFLOW_CONN" not in said:
                line = process.stdout.readline()
                assert line, f"it ended early: {said}"
                said += line
            yield process, said
        finally:
            process.kill()


def submit(said: str, task_id: int) -> str:
    """Submit a task to the sandbox that said this; returns the Flink job's id."""
    found = re.search(r"Dinky sandbox at (\S+)", said)
    assert found is not None
    answer = requests.post(f"{found.group(1)}/openapi/submitTask", json={"id": task_id}, timeout=60).json()
    assert answer["code"] == 0, answer
    return str(answer["data"]["jobId"])


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command's temporary files are."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(temporary: Path, turnover: Path, ended_by: signal.Signals) -> None:
    with command("--engine", "flink", "--turnover", str(turnover)) as (process, said):
        web_page = re.search(r"Flink at (\S+)", said)
        assert web_page is not None
        assert requests.get(f"{web_page.group(1)}/overview", timeout=60).json()["slots-total"] == 8
        submit(said, TURNOVER_STREAM)
        wait_for(turnover, 3)
        started = psutil.Process(process.pid).children(recursive=True)
        # Keeper, submitter and four of Java.
        assert len(started) == 6

        process.send_signal(ended_by)

        assert process.wait(30) == (0 if ended_by != signal.SIGKILL else -signal.SIGKILL)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    left = {path.name.rpartition("-")[0] for path in temporary.iterdir()}
    # A killed process leaves what is not Flink's.
    assert left <= ({"dinky-sandbox"} if ended_by == signal.SIGKILL else set())
    written = rows(turnover)
    assert written == sums(len(written))


def test_ctrl_c_while_flink_starts(temporary: Path) -> None:
    with subprocess.Popen([*COMMAND, "--engine", "flink"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "Starting Flink" in process.stdout.readline()
            until(lambda: len(psutil.Process(process.pid).children(recursive=True)) > 4)
            started = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert list(temporary.iterdir()) == []


def test_ctrl_c_takes_what_the_counting_task_wrote(temporary: Path) -> None:
    with command("--engine", "flink") as (process, said):
        submit(said, TURNOVER_STREAM)
        (written_to,) = temporary.glob("dinky-sandbox-turnover-*")
        wait_for(written_to, 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert list(temporary.iterdir()) == []


def test_a_running_flink_is_used_and_left_alone(flink: FlinkRuntime, temporary: Path) -> None:
    assert flink.cluster is not None
    with command("--flink-rest", flink.web_page, "--control", "--no-quirks") as (process, said):
        assert f"Flink at {flink.web_page}" in said
        jid = submit(said, 2)
        until(lambda: flink.rest.ask_blocking(f"/jobs/{jid}")["state"] == "RUNNING")
        url = re.search(r"Dinky sandbox at (\S+)", said)
        assert url is not None
        refused = requests.post(f"{url.group(1)}/sandbox/kill_cluster", timeout=60)
        assert (refused.status_code, "is not broken by it" in refused.text) == (400, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert flink.rest.ask_blocking("/overview")["slots-total"] == 8
    flink.rest.send_blocking("PATCH", f"/jobs/{jid}", {"mode": "cancel"})


def refusal(*arguments: str, **environment: str) -> str:
    """What it says when it does not start."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_refuses_a_cluster_without_a_free_slot(flink: FlinkRuntime, temporary: Path) -> None:
    assert flink.cluster is not None
    flink.cluster.kill_task_manager()
    until(lambda: flink.rest.ask_blocking("/overview")["slots-total"] == 0)
    try:
        said = refusal("--flink-rest", flink.web_page)
    finally:
        flink.cluster.wait_until_alive()
    assert said == f"error: {flink.web_page} is out of slots: 0 in all, none of them free\n"


def test_refuses_what_is_no_flink(temporary: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert f"error: no Flink answers at {url}" in refusal("--flink-rest", url)
    assert "looks like http://127.0.0.1:8081, not 'ftp://x'" in refusal("--flink-rest", "ftp://x")


@pytest.mark.parametrize("body", ["<h1>Hello</h1>", "[]", '{"flink-version": "1.20.3"}'])
def test_refuses_another_web_server(temporary: Path, body: str) -> None:
    with TinyServer(lambda request: Reply(body.encode())) as server:
        said = refusal("--flink-rest", server.url)
    assert said == f"error: what answers at {server.url} is no Flink\n"


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_a_running_flink_at_an_ipv6_address(flink: FlinkRuntime, temporary: Path) -> None:
    with ipv6_address(flink.rest.port) as url, FlinkRuntime(rest_url=url) as runtime:
        assert runtime.web_page == url
        engine = runtime.engine()
        with Sandbox(engine=engine, quirks=False) as sandbox:
            submit(f"Dinky sandbox at {sandbox.url}", 1)
            until(lambda: [job.state for job in engine.jobs] == ["RUNNING"])
        until(lambda: end_all(flink, engine.jobs))


def test_refuses_a_port_that_is_taken(temporary: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal("--engine", "flink", "--flink-port", str(port))
        assert said == f"error: port {port} is taken; choose another with --flink-port\n"
        said = refusal("--engine", "flink", "--port", str(port))
        assert said == f"error: port {port} is taken; choose another with --port\n"
    assert list(temporary.iterdir()) == []


def test_two_sandboxes_share_a_cluster_and_keep_their_own_record(flink: FlinkRuntime) -> None:
    one, other = flink.engine(), flink.engine()
    assert one.address == other.address
    assert one.jobs == other.jobs == ()
    assert end_all(flink, one.jobs)
