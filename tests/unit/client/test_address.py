# SPDX-License-Identifier: Apache-2.0
"""Addresses in their normal form: one server has one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client import calls, wire
from airflow_provider_dinky.client.address import normal_host, origin_of
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import DinkyResponseError
from airflow_provider_dinky.client.wire import Reply

SAME = [
    ("https://dinky:443/a", "https://dinky/b"),
    ("http://dinky:80", "http://dinky"),
    ("http://dinky:8888/a", "HTTP://Dinky:8888/b"),
    ("http://dinky.example.com.:8888/", "http://dinky.example.com:8888/"),
    ("http://[2001:DB8:0:0::1]:8888/", "http://[2001:db8::1]:8888/"),
    ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
]
OTHER = [
    ("https://dinky:443/", "http://dinky:443/"),
    ("http://dinky:8888/", "http://dinky/"),
    ("http://dinky:8888/", "http://dinky.example.com:8888/"),
    ("http://[::1]:8888/", "http://[::2]:8888/"),
    ("http://dinky:8888/", "http://ann@dinky:8888/"),
]
READ = calls.version()


def redirected(here: str, there: str) -> str | None:
    return wire.redirect_target(DinkyConfig(here), READ, here, Reply(302, b"", location=there))


@pytest.mark.parametrize(("here", "there"), SAME)
def test_the_same_server_in_another_spelling(here: str, there: str) -> None:
    assert origin_of(here) == origin_of(there)
    assert (redirected(here, there) or "").lower() == there.lower()


@pytest.mark.parametrize(("here", "there"), OTHER)
def test_another_server(here: str, there: str) -> None:
    with pytest.raises(DinkyResponseError, match="which is not followed"):
        redirected(here, there)


@given(st.ip_addresses())
def test_every_address_has_one_spelling(address: object) -> None:
    exploded = getattr(address, "exploded")  # noqa: B009
    assert normal_host(exploded.upper()) == normal_host(str(address)) == str(address)
