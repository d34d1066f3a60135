# SPDX-License-Identifier: Apache-2.0
"""The connections that the documentation shows lead to where it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.hooks import connection as reader
from airflow_provider_dinky.hooks.dinky import DinkyHook

HERE = Path(__file__).parent
SIGNED_IN = DinkyConfig(
    base_url="https://dinky.example.com:8888",
    name="dinky_default",
    username="airflow",
    password="secret",
    submit_timeout=600.0,
)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell has in its environment after it has read the file."""
    done = subprocess.run(
        ["bash", "-c", 'source "$0" && env -0', str(HERE / "connections.sh")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for entry in done.stdout.split("\0"):
        name, _, value = entry.partition("=")
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    "expected",
    [
        SIGNED_IN,
        DinkyConfig(**{**vars(SIGNED_IN), "name": "dinky_uri"}),
        DinkyConfig(base_url="http://dinky.example.com:8888", name="dinky_token", token="the-token"),
        DinkyConfig(base_url="http://dinky.example.com:8888", name="dinky_anonymous"),
        DinkyConfig(
            base_url="https://gateway.example.com:443",
            name="dinky_gateway",
            headers={"Authorization": "Bearer the-gateway-key"},
        ),
        DinkyConfig(
            base_url="https://proxy.example.com:443/dinky",
            name="dinky_tls",
            username="airflow",
            password="secret",
            ca_bundle="/etc/ssl/certs/our-ca.pem",
        ),
    ],
    ids=lambda config: config.name,
)
def test_of_the_environment(expected: DinkyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    # The CA file of the documentation is not on this machine.
    monkeypatch.setattr(reader, "_readable", lambda path: path == "/etc/ssl/certs/our-ca.pem")
    assert DinkyHook(expected.name).config == expected


def test_of_a_secrets_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.secrets.local_filesystem import LocalFilesystemBackend

    backend = LocalFilesystemBackend(connections_file_path=str(HERE / "connections.yaml"))
    found = backend.get_connection("dinky_default")
    assert found is not None
    assert reader.read_connection(found) == SIGNED_IN
