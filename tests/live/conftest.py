# SPDX-License-Identifier: Apache-2.0
"""Live servers, given by environment variables; without them every test here is skipped.

``DINKY_LIVE_URL``, ``DINKY_LIVE_USER``, ``DINKY_LIVE_PASSWORD``
    A Dinky 1.0.3 or newer, and a user who may make tasks in the first tenant.
``DINKY_LIVE_FLINK``
    ``host:port`` of the REST API of a Flink session cluster with at least 8 free slots and a ``state.savepoints.dir``,
    which Dinky has as a cluster instance of that address.
``DINKY_LIVE_STOP``, ``DINKY_LIVE_START``, ``FLINK_LIVE_STOP``, ``FLINK_LIVE_START``
    Shell commands, for the tests that stop a server; skipped without them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .live_dinky import LiveDinky, Server, commands
from .running import Way

NEEDED = ("DINKY_LIVE_URL", "DINKY_LIVE_USER", "DINKY_LIVE_PASSWORD", "DINKY_LIVE_FLINK")


# Before tests/conftest.py looks at the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here; skip them where no live server is given."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue
        item.add_marker(pytest.mark.live)
        item.add_marker(pytest.mark.xdist_group("real"))
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"no live Dinky: {', '.join(missing)} not set"))


@pytest.fixture(scope="session")
def live() -> Iterator[LiveDinky]:
    """The live Dinky and its Flink; the tasks made there are gone when the tests end."""
    url, user, password, flink = (os.environ[name] for name in NEEDED)
    live = LiveDinky(url, user, password, flink)
    sys.stdout.write(f"\nDinky {live.version()} at {url}\n")
    yield live
    live.clean_up()


@pytest.fixture(autouse=True)
def _no_job_is_left(live: LiveDinky, request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the slots back after each test, but for those of a module that shares its jobs."""
    yield
    if request.node.get_closest_marker("keep_jobs") is None:
        live.clean_up()


@pytest.fixture(scope="session")
def ways(live: LiveDinky) -> Iterator[dict[str, Way]]:
    """The connections: authenticated, anonymous, and anonymous with leave to ask Flink."""
    at = urlsplit(live.url)
    base = {"conn_type": "dinky", "host": at.hostname, "port": at.port, "schema": at.scheme}
    user, password = os.environ["DINKY_LIVE_USER"], os.environ["DINKY_LIVE_PASSWORD"]
    connections = {
        "authenticated": {**base, "login": user, "password": password},
        "anonymous": base,
        "anonymous_flink": {**base, "extra": {"allow_flink_rest": True}},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, connection in connections.items():
            patch.setenv(f"AIRFLOW_CONN_LIVE_{name.upper()}", json.dumps(connection))
        yield {
            name: Way(name, f"live_{name}", live.flink_address if name == "anonymous_flink" else None)
            for name in connections
        }


@pytest.fixture(params=["authenticated", "anonymous"])
def way(ways: dict[str, Way], request: pytest.FixtureRequest) -> Way:
    """Each way in; a test may ask for ``anonymous_flink``, too, by a parametrisation of its own."""
    return ways[request.param]


@pytest.fixture(params=[False, True], ids=["blocking", "deferrable"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    """Each way of waiting."""
    return bool(request.param)


def _server(name: str, is_up: object) -> Server:
    found = commands(name)
    if found is None:
        pytest.skip(f"{name}_STOP and {name}_START are not set")
    return Server(found, is_up)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def dinky_server(live: LiveDinky) -> Server:
    """The Dinky, to be stopped and started."""
    return _server("DINKY_LIVE", live.is_up)


@pytest.fixture(scope="session")
def flink_server(live: LiveDinky) -> Server:
    """The Flink cluster, to be stopped and started."""
    return _server("FLINK_LIVE", live.is_flink_up)
