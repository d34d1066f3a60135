# SPDX-License-Identifier: Apache-2.0
"""Every field of an Airflow connection: what it may hold, and the one sentence that says what is wrong with it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyConfigError
from airflow_provider_dinky.get_provider_info import EXTRA_FIELDS
from airflow_provider_dinky.hooks.connection import read_connection
from airflow_provider_dinky.hooks.dinky import DinkyHook

SECRET = "hunter22-secret"


@dataclass
class Connection:
    """What is read of an Airflow connection."""

    conn_id: Any = "c1"
    conn_type: Any = "dinky"
    host: Any = "dinky"
    port: Any = None
    schema: Any = None
    login: Any = None
    password: Any = None
    extra: Any = None


def read(extra: Any = None, **fields: Any) -> DinkyConfig:
    return read_connection(Connection(extra=json.dumps(extra) if extra is not None else None, **fields))


def problem(extra: Any = None, **fields: Any) -> str:
    with pytest.raises(DinkyConfigError) as caught:
        read(extra, **fields)
    assert not caught.value.outcome_unknown
    return str(caught.value)


def test_a_host_is_enough() -> None:
    assert read() == DinkyConfig("http://dinky:8888", name="c1")


def test_every_field() -> None:
    config = read(
        {
            "tenant_id": 7,
            "connect_timeout": 1,
            "read_timeout": 2.5,
            "submit_timeout": 3,
            "savepoint_timeout": 4,
            "verify": False,
            "ca_bundle": __file__,
            "allow_flink_rest": True,
            "trust_env": False,
        },
        conn_id="prod",
        host="dinky.example.com",
        port=443,
        schema="https",
        login="ann",
        password=SECRET,
    )
    assert config == DinkyConfig(
        "https://dinky.example.com:443",
        name="prod",
        username="ann",
        password=SECRET,
        tenant_id=7,
        verify=False,
        ca_bundle=__file__,
        connect_timeout=1,
        read_timeout=2.5,
        submit_timeout=3,
        savepoint_timeout=4,
        allow_flink_rest=True,
        trust_env=False,
    )


@pytest.mark.parametrize("conn_type", ["dinky", "Dinky", "http", "https", "generic", "", None])
def test_types_that_may_lead_to_a_dinky(conn_type: Any) -> None:
    assert read(conn_type=conn_type) == read()


def test_a_connection_to_something_else() -> None:
    said = problem(conn_type="mysql", login="ann", password=SECRET)
    assert said == "connection 'c1': field 'conn_type' is 'mysql'; make a connection of type 'dinky'"


def test_every_field_of_the_form_is_read() -> None:
    bad = {name: problem({name: {"not": ["this"]}}) for name in EXTRA_FIELDS}
    assert all(text.startswith(f"connection 'c1': field '{name}' ") for name, text in bad.items())


def test_defaults_are_those_of_the_form() -> None:
    config = read()
    for name, field in EXTRA_FIELDS.items():
        assert (getattr(config, name) or None) == (field["schema"].get("default") or None)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "dinky"}, "http://dinky:8888"),
        ({"host": " dinky "}, "http://dinky:8888"),
        ({"host": "dinky", "port": 80}, "http://dinky:80"),
        ({"host": "dinky", "port": "80"}, "http://dinky:80"),
        ({"host": "dinky", "port": ""}, "http://dinky:8888"),
        ({"host": "dinky:81"}, "http://dinky:81"),
        ({"host": "dinky:81", "port": 81}, "http://dinky:81"),
        ({"host": "http://dinky"}, "http://dinky:8888"),
        ({"host": "https://dinky:443/"}, "https://dinky:443"),
        ({"host": "HTTPS://Dinky"}, "https://dinky:8888"),
        ({"host": "dinky", "schema": " HTTPS "}, "https://dinky:8888"),
        ({"host": "https://dinky", "schema": "https"}, "https://dinky:8888"),
        ({"host": "https://proxy/apps/dinky/"}, "https://proxy:8888/apps/dinky"),
        ({"host": "proxy/dinky", "port": 80}, "http://proxy:80/dinky"),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8888"),
        ({"host": "[::1]"}, "http://[::1]:8888"),
        ({"host": "[::1]:81"}, "http://[::1]:81"),
        ({"host": "http://[fd00::1]:81/dinky"}, "http://[fd00::1]:81/dinky"),
        ({"host": "::1"}, "http://[::1]:8888"),
        ({"host": "fd00::1", "port": 80}, "http://[fd00::1]:80"),
        ({"host": "2001:db8::1/dinky"}, "http://[2001:db8::1]:8888/dinky"),
        ({"host": "https://2001:DB8:0:0::1/dinky/"}, "https://[2001:db8::1]:8888/dinky"),
        ({"host": "[2001:DB8:0::1]:81/dinky"}, "http://[2001:db8::1]:81/dinky"),
        ({"host": "[2001:db8::1:8080]"}, "http://[2001:db8::1:8080]:8888"),
        ({"host": "DINKY.Example.COM/Path"}, "http://dinky.example.com:8888/Path"),
    ],
)
def test_address(fields: dict[str, Any], url: str) -> None:
    assert read(**fields).base_url == url


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"host": None}, "field 'host' is empty"),
        ({"host": "  "}, "field 'host' is empty"),
        ({"host": "http://"}, "field 'host' is not a host name"),
        ({"host": "my dinky"}, "field 'host' is not a host name"),
        ({"host": "din\u0000ky"}, "field 'host' is not a host name"),
        ({"host": "["}, "field 'host' is not a host name"),
        ({"host": "http://[::1"}, "field 'host' is not a host name"),
        ({"host": "/dinky"}, "field 'host' is not a host name"),
        ({"host": f"http://ann:{SECRET}@dinky"}, "field 'host' holds a user or password"),
        ({"host": "ann@dinky"}, "field 'host' holds a user or password"),
        ({"host": "ftp://dinky"}, "field 'schema' must be http or https, not 'ftp'"),
        ({"schema": "dinky"}, "field 'schema' must be http or https, not 'dinky'"),
        ({"host": "http://dinky", "schema": "https"}, "field 'schema' says https, but host says http"),
        ({"port": 0}, "field 'port' must be a port number, not 0"),
        ({"port": 65_536}, "field 'port' must be a port number"),
        ({"port": "http"}, "field 'port' must be a port number, not 'http'"),
        ({"port": float("inf")}, "field 'port' must be a port number"),
        ({"host": "dinky:http"}, "field 'port' must be a port number, not 'http'"),
        ({"host": "dinky:81", "port": 80}, "field 'port' says 80, but host says 81"),
        ({"host": "2001:db8:0:0:0:0:0:1:8888"}, "field 'host' has several colons, but is no IPv6 address"),
        ({"host": "a:b:c"}, "field 'host' has several colons, but is no IPv6 address"),
        ({"host": "2001:db8::1:8080"}, "field 'host' may be an IPv6 address or one with port 8080"),
        ({"host": "fe80::1%eth0"}, "field 'host' names the network interface"),
        ({"host": "[fe80::1%25eth0]"}, "field 'host' names the network interface"),
        ({"host": "[1:2]"}, "field 'host' is not a host name"),
        ({"host": "10.0.1"}, "field 'host' looks like an IPv4 address"),
        ({"host": "010.0.0.1"}, "field 'host' looks like an IPv4 address"),
        ({"host": "0x7f.1"}, "field 'host' looks like an IPv4 address"),
        ({"host": "dinky:"}, "field 'port' must be a port number, not ''"),
    ],
)
def test_bad_address(fields: dict[str, Any], text: str) -> None:
    said = problem(password=SECRET, **fields)
    assert said.startswith(f"connection 'c1': {text}")
    assert SECRET not in said


@pytest.mark.parametrize(
    ("login", "password", "credentials"),
    [
        (None, None, (None, None, None)),
        ("", "", (None, None, None)),
        ("ann", SECRET, ("ann", SECRET, None)),
        (" ann ", f" {SECRET}\n", ("ann", f" {SECRET}\n", None)),
        ("ann", "  ", ("ann", "  ", None)),
        ("ann", "пароль", ("ann", "пароль", None)),
        (None, SECRET, (None, None, SECRET)),
        ("", SECRET, (None, None, SECRET)),
    ],
)
def test_credentials(login: Any, password: Any, credentials: Any) -> None:
    config = read(login=login, password=password)
    assert (config.username, config.password, config.token) == credentials


def test_a_user_without_password() -> None:
    assert "field 'password' is empty, but a user is given" in problem(login="ann")


@pytest.mark.parametrize("token", ["пароль", f"{SECRET}\n{SECRET}"])
def test_what_cannot_be_a_token(token: str) -> None:
    said = problem(password=token)
    assert "field 'password' is no token as Dinky issues it" in said
    assert token not in said


@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\r\n", " ", "\t"])
def test_a_token_with_a_blank_or_line_break_at_its_ends(token: str) -> None:
    said = problem(password=token)
    assert "field 'password' begins or ends with a blank or a line break" in said
    assert SECRET not in said


@pytest.mark.parametrize("name", EXTRA_FIELDS)
@pytest.mark.parametrize("blank", ["", "  ", "\t\n", None])
def test_a_blank_field_of_extra_is_an_empty_one(name: str, blank: str | None) -> None:
    assert read({name: blank}) == read()


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ({"Authorization": f"Bearer {SECRET}"}, {"Authorization": f"Bearer {SECRET}"}),
        (json.dumps({"dinky-token": SECRET}), {"dinky-token": SECRET}),
        ({"X-A": 7, "X-B": "", "X-C": " ", "X-D": None}, {"X-A": "7"}),
        ({}, {}),
    ],
)
def test_headers(value: Any, headers: dict[str, str]) -> None:
    config = read({"headers": value})
    assert config.headers == headers
    assert SECRET not in repr(config)
    assert all(value not in config.redact(f"echo {value}") for value in headers.values() if len(value) > 3)
    assert hash(config) == hash(read())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (f'["{SECRET}"]', "must be a JSON object"),
        (f"Authorization: {SECRET}", "must be a JSON object"),
        ([SECRET], "must be a JSON object"),
        ({"a b": SECRET}, "holds the name 'a b'"),
        ({"": SECRET}, "holds the name ''"),
        ({"Content-Length": SECRET}, "cannot hold 'Content-Length'"),
        ({"A": SECRET, "a": SECRET}, "cannot hold 'a'"),
        ({"A": f"{SECRET}\r\nB: c"}, "holds a value of 'A' that no header can have"),
        ({"A": f" {SECRET}"}, "holds a value of 'A' that no header can have"),
        ({"A": f"{SECRET}é"}, "holds a value of 'A' that no header can have"),
        ({"A": [SECRET]}, "holds a value of 'A' that no header can have"),
        ({"A": True}, "holds a value of 'A' that no header can have"),
    ],
)
def test_bad_headers(value: Any, text: str) -> None:
    said = problem({"headers": value})
    assert f"field 'headers' {text}" in said
    assert SECRET not in said


@pytest.mark.parametrize("wrapped", [{"tenant_id": 7}, '{"tenant_id": 7}'])
def test_an_extra_that_airflow_has_wrapped_is_read(wrapped: Any) -> None:
    assert read({"__extra__": wrapped}).tenant_id == 7
    assert read({"__extra__": wrapped, "tenant_id": 8}).tenant_id == 8
    assert "field '__extra__' must be a JSON object" in problem({"__extra__": "{"})


@pytest.mark.parametrize(
    ("value", "tenant_id"), [(1, 1), ("7", 7), (7.0, 7), ("7.0", 7), (None, 1), ("", 1), (" 7 ", 7)]
)
def test_tenant(value: Any, tenant_id: int) -> None:
    config = read({"tenant_id": value})
    assert config.tenant_id == tenant_id
    assert isinstance(config.tenant_id, int)


@pytest.mark.parametrize("value", [0, -1, 1.5, "x", True, [], {}, float("inf"), float("nan"), 10**400, 2**31])
def test_bad_tenant(value: Any) -> None:
    assert "field 'tenant_id' must be a whole number from 1" in problem({"tenant_id": value})


TIMEOUTS = ["connect_timeout", "read_timeout", "submit_timeout", "savepoint_timeout"]


@pytest.mark.parametrize("field", TIMEOUTS)
@pytest.mark.parametrize(("value", "seconds"), [(1, 1), (0.5, 0.5), ("30", 30), (86_400, 86_400)])
def test_timeout(field: str, value: Any, seconds: float) -> None:
    assert getattr(read({field: value}), field) == seconds


@pytest.mark.parametrize("field", TIMEOUTS)
@pytest.mark.parametrize("value", [0, -1, 86_401, "soon", True, [], float("inf"), float("nan"), 10**400])
def test_bad_timeout(field: str, value: Any) -> None:
    assert f"field '{field}' must be a number of seconds above 0 and up to a day" in problem({field: value})


FLAGS = ["verify", "allow_flink_rest", "trust_env"]


@pytest.mark.parametrize("field", FLAGS)
@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *[(value, True) for value in (True, "true", "True", "yes", "on", 1, "1")],
        *[(value, False) for value in (False, "false", " NO ", "off", 0, "0")],
    ],
)
def test_flag(field: str, value: Any, flag: bool) -> None:
    assert getattr(read({field: value}), field) is flag


@pytest.mark.parametrize("field", FLAGS)
@pytest.mark.parametrize("value", ["maybe", 2, [], {}])
def test_bad_flag(field: str, value: Any) -> None:
    assert f"field '{field}' must be true or false" in problem({field: value})


@pytest.mark.parametrize("value", ["/no/such.pem", "\u0000", [], 5])
def test_bad_ca_bundle(value: Any) -> None:
    assert "field 'ca_bundle' is no readable file on this machine" in problem({"ca_bundle": value})


def test_ca_bundle(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert read({"ca_bundle": f" {tmp_path}/ca.pem "}).ca_bundle == f"{tmp_path}/ca.pem"
    assert read({"ca_bundle": ""}).ca_bundle is None


@pytest.mark.parametrize("extra", ["{", "[]", "5", '"x"', "[" * 100_000, "null"])
def test_extra_that_is_no_json_object(extra: str) -> None:
    with pytest.raises(DinkyConfigError, match="field 'extra' must be a JSON object"):
        read_connection(Connection(extra=extra))


@pytest.mark.parametrize("extra", [None, "", "{}", {}, {"tenant_id": 1}])
def test_extra_that_says_nothing_new(extra: Any) -> None:
    assert read_connection(Connection(extra=extra)) == read()


def test_an_unknown_field_of_extra_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read({"tenantId": SECRET, "verify": True, "__extra__": ""})
    (record,) = caplog.records
    assert "Connection 'c1': extra has unknown fields tenantId; known are tenant_id, " in record.getMessage()
    assert SECRET not in record.getMessage()


URI = f"dinky://ann:{SECRET}@dinky.example.com:443/https?tenant_id=7&verify=false&read_timeout=5"
AS_JSON = json.dumps(
    {
        "conn_type": "dinky",
        "host": "dinky.example.com",
        "port": 443,
        "schema": "https",
        "login": "ann",
        "password": SECRET,
        "extra": {"tenant_id": 7, "verify": False, "read_timeout": 5},
    }
)
EXTRA_AS_TEXT = json.dumps(
    {**json.loads(AS_JSON), "extra": json.dumps({"tenant_id": "7", "verify": "false", "read_timeout": "5"})}
)


@pytest.mark.parametrize("written", [URI, AS_JSON, EXTRA_AS_TEXT], ids=["URI", "JSON", "extra as text"])
def test_however_airflow_is_told(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PROD", written)
    assert DinkyHook("prod").config == DinkyConfig(
        "https://dinky.example.com:443",
        name="prod",
        username="ann",
        password=SECRET,
        tenant_id=7,
        verify=False,
        read_timeout=5,
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), "1e999", "nan", "٣"])


@given(
    st.dictionaries(st.sampled_from(sorted(EXTRA_FIELDS)) | st.text(max_size=5), JSON | NUMBERS, max_size=4)
)
def test_any_extra_gives_a_config_or_a_clear_error(extra: dict[str, Any]) -> None:
    try:
        config = read_connection(Connection(login="ann", password=SECRET, extra=json.dumps(extra)))
    except DinkyConfigError as error:
        text = str(error)
        assert text.startswith("connection 'c1': field '")
        assert SECRET not in text
    else:
        assert 1 <= config.tenant_id < 2**31
        assert 0 < config.read_timeout <= 86_400


@given(
    st.text(max_size=30) | st.text("htps:/[]@.%#?1af ", max_size=30), st.text(max_size=5) | st.none(), JSON
)
def test_any_address_gives_a_config_or_a_clear_error(host: str, schema: str | None, port: Any) -> None:
    try:
        config = read_connection(Connection(host=host, schema=schema, port=port, password=SECRET))
    except DinkyConfigError as error:
        text = str(error)
        assert SECRET not in text
    else:
        assert config.base_url.startswith(("http://", "https://"))
