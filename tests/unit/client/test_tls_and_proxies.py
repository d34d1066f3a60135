# SPDX-License-Identifier: Apache-2.0
"""TLS, proxies and netrc: what the connection and the environment say about the way to Dinky."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyConnectionError, DinkyError
from airflow_provider_dinky.client.retry import RetryFor
from tests.clients import AnyClient
from tests.servers import LOCALHOST, Reply, Request, TinyServer, envelope, free_port, hang, self_signed

Connect = Callable[..., AnyClient]
Certificate = tuple[Path, Path]
PATIENT = RetryFor(connection=30)
VERSION, SUBMIT = calls.version(), calls.submit_task(7)


def answer(request: Request) -> Reply:
    return envelope("1.1.0")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("call", [VERSION, SUBMIT], ids=["read", "submit"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    connect: Connect, certificate: Certificate, call: calls.ApiCall[object]
) -> None:
    with TinyServer(answer, certificate=certificate) as server, pytest.raises(DinkyConfigError) as caught:
        connect(DinkyConfig(server.url), PATIENT).send(call)
    assert "check schema (http or https), ca_bundle and verify" in str(caught.value)
    assert not caught.value.outcome_unknown
    assert server.received == []


def test_a_certificate_of_the_ca_bundle(connect: Connect, certificate: Certificate) -> None:
    with TinyServer(answer, certificate=certificate) as server:
        assert connect(DinkyConfig(server.url, ca_bundle=str(certificate[0]))).send(VERSION) == "1.1.0"


def test_a_certificate_of_the_environment(
    connect: Connect, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with TinyServer(answer, certificate=certificate) as server:
        assert connect(DinkyConfig(server.url)).send(VERSION) == "1.1.0"
        with pytest.raises(DinkyConfigError):
            connect(DinkyConfig(server.url, trust_env=False)).send(VERSION)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_no_certificate_is_looked_at_if_the_connection_says_so(
    connect: Connect, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with TinyServer(answer, certificate=certificate) as server:
        assert connect(DinkyConfig(server.url, verify=False)).send(VERSION) == "1.1.0"


def test_a_certificate_of_another_host(connect: Connect, certificate: Certificate) -> None:
    with TinyServer(answer, certificate=certificate) as server:
        config = DinkyConfig(f"https://localhost:{server.port}", ca_bundle=str(certificate[0]))
        with pytest.raises(DinkyConfigError, match="TLS: "):
            connect(config, PATIENT).send(VERSION)
    assert server.received == []


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_bundle_that_cannot_be_used(connect: Connect, tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with TinyServer(answer, certificate=self_signed(tmp_path)) as server:
        client = connect(DinkyConfig(server.url, ca_bundle=str(bundle)), PATIENT)
        with pytest.raises(DinkyConfigError, match="ca_bundle"):
            client.send(VERSION)


def test_a_directory_of_cas(connect: Connect, certificate: Certificate, tmp_path: Path) -> None:
    with TinyServer(answer, certificate=certificate) as server:
        client = connect(DinkyConfig(server.url, ca_bundle=str(tmp_path)), PATIENT)
        with pytest.raises(DinkyConfigError, match="check schema"):
            client.send(VERSION)


def test_https_to_a_server_that_speaks_http(connect: Connect) -> None:
    with (
        TinyServer(answer) as server,
        pytest.raises(DinkyConfigError, match=r"check schema \(http or https\)"),
    ):
        connect(DinkyConfig(f"https://{LOCALHOST}:{server.port}"), PATIENT).send(SUBMIT)
    assert server.received == []


def test_http_to_a_server_that_speaks_https(connect: Connect, certificate: Certificate) -> None:
    with TinyServer(answer, certificate=certificate) as server:
        client = connect(DinkyConfig(f"http://{LOCALHOST}:{server.port}"))
        with pytest.raises(DinkyConnectionError, match="check host, port and scheme"):
            client.send(VERSION)
    assert server.received == []


def test_a_server_that_dies_in_the_handshake_is_asked_again(
    connect: Connect, certificate: Certificate
) -> None:
    with TinyServer(
        answer,
        certificate=certificate,
        greet=lambda number: (lambda connection: None) if number < 2 else None,
    ) as server:
        client = connect(DinkyConfig(server.url, ca_bundle=str(certificate[0])), PATIENT)
        assert client.send(VERSION) == "1.1.0"
        assert server.accepted == 3


def test_a_handshake_that_hangs(connect: Connect, certificate: Certificate) -> None:
    with TinyServer(answer, certificate=certificate, greet=lambda number: hang) as server:
        started = time.monotonic()
        config = DinkyConfig(
            server.url, connect_timeout=0.3, submit_timeout=600, ca_bundle=str(certificate[0])
        )
        with pytest.raises(DinkyConnectionError, match=r"no connection within 0\.3 s") as caught:
            connect(config).send(SUBMIT)
        assert time.monotonic() - started < 60
    assert not caught.value.outcome_unknown


# The environment


def test_netrc_is_never_used(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(
        f"machine {LOCALHOST} login ann password hunter22\ndefault login ann password hunter22\n"
    )
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    with TinyServer(answer) as server:
        for trust_env in (True, False):
            connect(DinkyConfig(server.url, trust_env=trust_env)).send(VERSION)
    assert len(server.received) == 2
    assert all("authorization" not in request.headers for request in server.received)


def test_a_proxy_of_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with TinyServer(lambda request: envelope("by proxy")) as proxy, TinyServer(answer) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert connect(DinkyConfig(server.url)).send(VERSION) == "by proxy"
        assert [request.target for request in proxy.received] == [f"{server.url}/openapi/version"]
        assert connect(DinkyConfig(server.url, trust_env=False)).send(VERSION) == "1.1.0"
        monkeypatch.setenv("no_proxy", LOCALHOST)
        assert connect(DinkyConfig(server.url)).send(VERSION) == "1.1.0"
        assert len(proxy.received) == 1


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_proxy_that_is_not_there(connect: Connect, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}ann:hunter22@{LOCALHOST}:{free_port()}")
    with pytest.raises(DinkyConnectionError) as caught:
        connect(DinkyConfig("http://dinky.invalid:8888")).send(SUBMIT)
    assert not caught.value.outcome_unknown
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_lets_nobody_through(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with TinyServer(lambda request: Reply(b"", status)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(DinkyError) as caught:
            connect(DinkyConfig("https://dinky.invalid")).send(SUBMIT)
    assert proxy.received[0].method == "CONNECT"
    assert isinstance(caught.value, DinkyConnectionError)
    assert not caught.value.outcome_unknown
