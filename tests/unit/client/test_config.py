# SPDX-License-Identifier: Apache-2.0
"""The settings of a connection: no secret is shown, the environment counts only where it may."""

from __future__ import annotations

import pytest

from airflow_provider_dinky.client.config import DinkyConfig

SECRETS = {"password": "pass-hunter2", "token": "token-hunter2"}


def test_no_repr_shows_a_secret() -> None:
    config = DinkyConfig("http://dinky:8888", username="ann", **SECRETS)
    assert "hunter2" not in f"{config!r} {config}"
    assert "ann" in repr(config)


def test_redact_hides_the_secrets_of_the_connection_and_of_sql() -> None:
    config = DinkyConfig("http://dinky:8888", **SECRETS)
    text = "said pass-hunter2, token-hunter2 and 'password' = 'other'"
    assert config.redact(text) == "said ***, *** and 'password' = '***'"


@pytest.mark.parametrize(
    ("credentials", "has"),
    [
        ({}, False),
        ({"username": "ann"}, False),
        ({"password": "x"}, False),
        ({"username": "ann", "password": "x"}, True),
        ({"token": "x"}, True),
    ],
)
def test_has_credentials(credentials: dict[str, str], has: bool) -> None:
    assert DinkyConfig("http://dinky:8888", **credentials).has_credentials is has


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_file(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert DinkyConfig("https://dinky").ca_file() is None
    monkeypatch.setenv(variable, "/env.pem")
    assert DinkyConfig("https://dinky").ca_file() == "/env.pem"
    assert DinkyConfig("https://dinky", ca_bundle="/own.pem").ca_file() == "/own.pem"
    assert DinkyConfig("https://dinky", trust_env=False).ca_file() is None


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://dinky:8888", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://dinky:8888", "http://proxy:3128"),
        ({"http_proxy": "proxy:3128"}, "http://dinky:8888", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://dinky", None),
        ({"ALL_PROXY": "http://proxy:3128"}, "https://dinky", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "dinky"}, "http://dinky:8888", None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": ".corp"}, "http://dinky.corp:8888", None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "http://dinky:8888", None),
    ],
)
def test_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        # urllib prefers the names in small letters.
        monkeypatch.setenv(name.lower(), value)
    assert DinkyConfig(url).proxy_for(url) == proxy
    assert DinkyConfig(url, trust_env=False).proxy_for(url) is None
