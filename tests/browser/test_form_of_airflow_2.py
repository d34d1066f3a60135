# SPDX-License-Identifier: Apache-2.0
"""Airflow 2.11 builds the connection form itself, out of what the hook's class methods give."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_provider_dinky.get_provider_info import EXTRA_FIELDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

START_SECONDS = 120.0


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a web server that lets everybody in."""
    home = tmp_path_factory.mktemp("airflow2")
    (home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\nWTF_CSRF_ENABLED = True\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__WEBSERVER__WORKERS": "1",
    }
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
    address = ["--hostname", "127.0.0.1", "--port", str(port)]
    with Path(home / "output").open("wb") as output:
        server = subprocess.Popen(
            [*airflow, "webserver", *address],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, home / "output")
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.5)
    pytest.fail(f"Airflow's web server did not come up:\n{output.read_text()[-2000:]}")


@pytest.fixture
def form(webserver: str, browser: Browser) -> Iterator[Locator]:
    page = browser.new_page(viewport={"width": 1100, "height": 2000})
    page.goto(f"{webserver}/connection/add")
    # The page hides the real list behind a widget of its own.
    page.locator("#conn_type").select_option("dinky", force=True)
    yield page.locator("body")
    page.close()


def test_the_form_has_our_fields_with_labels_and_help(form: Locator, shoot_page: Callable[..., None]) -> None:
    for label in ("Host", "User", "Password or token", "Port", "Scheme"):
        form.get_by_text(label, exact=True).first.wait_for()
    for field in EXTRA_FIELDS.values():
        form.get_by_text(field["label"], exact=True).first.wait_for()
        form.get_by_text(field["description"]).first.wait_for()
    assert form.locator("#port").get_attribute("placeholder") == "8888"
    shoot_page(form.page, "connection-form-airflow-2")
