# SPDX-License-Identifier: Apache-2.0
"""The command line and the pytest fixture, as users meet them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.__main__ import main
from airflow_provider_dinky.sandbox.flink import jvm

pytest_plugins = ["airflow_provider_dinky.sandbox.pytest_plugin"]

COMMAND = [sys.executable, "-m", "airflow_provider_dinky.sandbox"]


@contextmanager
def _command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            greeting = ""
            while "AIRFLOW_CONN" not in greeting:
                line = process.stdout.readline()
                assert line, f"it ended early: {greeting}"
                greeting += line
            yield process, greeting
        finally:
            process.kill()


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(tmp_path: Path, ended_by: signal.Signals) -> None:
    file = tmp_path / "tasks.yaml"
    file.write_text("tasks: [{id: 21, name: my_task, kind: bounded}]", encoding="utf-8")
    with _command("--port", "0", "--tasks", str(file), "--user", "me", "--password", "it's") as (
        process,
        greeting,
    ):
        assert "21  my_task" in greeting
        name, _, value = shlex.split(greeting.splitlines()[-1])[1].partition("=")
        connection = json.loads(value)
        assert (name, connection["login"], connection["password"]) == (
            "AIRFLOW_CONN_DINKY_DEFAULT",
            "me",
            "it's",
        )
        url = f"http://{connection['host']}:{connection['port']}"
        assert f"Dinky sandbox at {url} " in greeting
        assert requests.get(f"{url}/openapi/getJobInstanceByTaskId?id=21", timeout=60).json()["code"] == 0
        process.send_signal(ended_by)
        assert process.wait(5) == 0


def test_a_taken_port_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert capsys.readouterr().err == f"error: port {port} is taken; choose another with --port\n"


@pytest.mark.parametrize(
    "arguments", [["--port", "99999"], ["--host", "no.such.host.invalid", "--port", "0"]]
)
def test_an_address_that_cannot_be_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: cannot listen on")
    assert message.count("\n") == 1


def test_a_wrong_task_file_is_said_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--tasks", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot read")


@pytest.mark.parametrize("flink", [["--engine", "flink"], ["--flink-rest", "http://127.0.0.1:8081"]])
def test_a_real_flink_cannot_be_sped_up(capsys: pytest.CaptureFixture[str], flink: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*flink, "--speed", "4"])
    assert "--speed: a real Flink has only the real time" in capsys.readouterr().err


def test_an_engine_of_ones_own_has_its_own_pace() -> None:
    with Sandbox() as sandbox, pytest.raises(ValueError, match="speed is 2, must be 1"):
        Sandbox(engine=sandbox.engine, speed=2)


def test_without_java_it_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jvm, "_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main(["--engine", "flink", "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith("error: no Java 11 or 17 found; on Debian")


def test_the_fixture_leads_the_default_connection_to_a_sandbox(dinky_sandbox: Sandbox) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_DINKY_DEFAULT"])
    assert connection["port"] == dinky_sandbox.port
    assert requests.get(f"{dinky_sandbox.url}/openapi/version", timeout=60).ok


def test_importing_the_package_imports_neither_aiohttp_nor_yaml() -> None:
    code = (
        "import sys, airflow_provider_dinky.sandbox\n"
        "print([name for name in ('aiohttp', 'yaml', 'airflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
