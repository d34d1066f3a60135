# SPDX-License-Identifier: Apache-2.0
"""What every test relies on: a throw-away AIRFLOW_HOME, and nothing of this machine's network settings."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# Airflow reads its home once, when it is first imported, which test modules do.
AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# A proxy, CA file or netrc of this machine must not decide what a test sees; a test that wants one sets it.
for _name in list(os.environ):
    if _name.lower().endswith("_proxy") or _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        del os.environ[_name]
os.environ["NETRC"] = os.path.join(AIRFLOW_HOME, "no-netrc")

import hypothesis  # noqa: E402
from hypothesis.configuration import set_hypothesis_home_dir  # noqa: E402

from airflow_provider_dinky.client.session import forget_sessions  # noqa: E402
from tests.clients import AnyClient, Blocking, OnLoop  # noqa: E402

set_hypothesis_home_dir(AIRFLOW_HOME)
hypothesis.settings.register_profile("tests", database=None, deadline=None, max_examples=60)
hypothesis.settings.load_profile("tests")


# pytest-xdist looks at the marks, too, and these have to be there by then.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run all that is in a real Airflow, and one all that is on a real Flink: two of a kind at once
    are too much for a small machine.
    """
    for item in items:
        if any(item.iter_markers("flink")):
            item.add_marker(pytest.mark.xdist_group("flink"))
        elif any(item.iter_markers("system")):
            item.add_marker(pytest.mark.xdist_group("airflow"))
        if any(item.iter_markers("system")) and version("apache-airflow").startswith("2."):
            item.add_marker(pytest.mark.skip(reason="the processes of Airflow 2 are others; see the matrix"))


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database of Airflow, to be copied; made once, whichever process of the test run is first."""
    from airflow_demo.local_airflow import migrate

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    database = folder / "airflow.db"
    with (folder / "airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            migrate(database)
    return database


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _nobody_is_signed_in() -> Iterator[None]:
    """Each test begins as a process of its own: its clients share a sign-in, and know none of another test's."""
    forget_sessions()
    yield
    forget_sessions()


@pytest.fixture(params=[Blocking, OnLoop], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., AnyClient]]:
    """Makes clients, of the one kind and then of the other; they are closed when the test ends."""
    clients: list[AnyClient] = []

    def make(*args: Any, **settings: Any) -> AnyClient:
        clients.append(request.param(*args, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
