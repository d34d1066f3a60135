# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from airflow_demo.local_airflow import LocalAirflow
from airflow_provider_dinky.get_provider_info import EXTRA_FIELDS
from airflow_provider_dinky.sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture
def conn_id(request: pytest.FixtureRequest) -> str:
    """A name of its own for each connection that is saved; the form alone is shown with the one that people use."""
    name = request.node.name
    return f"dinky_{zlib.crc32(name.encode())}" if "saved" in request.fixturenames else "dinky_default"


@pytest.fixture
def form(page: Page, airflow: LocalAirflow, conn_id: str) -> Locator:
    """The form of a new connection, with the type chosen."""
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator('input[name="connection_id"]').fill(conn_id)
    form.get_by_role("combobox").first.click()
    page.get_by_role("option", name="Dinky", exact=True).click()
    form.get_by_text("Standard Fields").wait_for()
    return form


@pytest.fixture
def saved(form: Locator, page: Page, sandbox: Sandbox, conn_id: str) -> Callable[..., None]:
    """Fills in the form, saves it, and presses the new connection's Test button."""

    def save(**changes: str) -> None:
        right = {"host": "127.0.0.1", "port": str(sandbox.port), "login": "admin", "password": "admin"}
        for field, value in {**right, **changes}.items():
            form.locator(f'input[name="{field}"]').fill(value)
        form.get_by_role("button", name="Save").click()
        row = page.get_by_role("row").filter(has_text=conn_id)
        row.get_by_role("button", name="Test Connection").click()

    return save


def test_the_form_asks_for_what_dinky_needs_and_explains_it(
    form: Locator, page: Page, shoot: Callable[..., None]
) -> None:
    labels = form.locator("label").all_inner_texts()
    assert [
        label for label in labels if label in ("Host", "User", "Password or token", "Port", "Scheme")
    ] == [
        "Host",
        "User",
        "Password or token",
        "Port",
        "Scheme",
    ]
    assert form.locator('input[name="port"]').get_attribute("placeholder") == "8888"
    assert form.locator('input[name="host"]').get_attribute("placeholder") == "dinky.example.com"
    shoot("connection-form")

    page.set_viewport_size({"width": 1100, "height": 1400})
    form.get_by_text("Extra Fields", exact=True).click()
    for field in EXTRA_FIELDS.values():
        form.get_by_text(field["description"]).wait_for()
    shoot("connection-form-extra")


def test_the_test_button_shows_version_user_and_tenant(
    saved: Callable[..., None], page: Page, shoot: Callable[..., None]
) -> None:
    saved()
    page.get_by_text("Test Connection Successful").wait_for()
    page.get_by_text("Dinky 1.1.0 at").wait_for()
    said = page.get_by_text("signed in as 'admin', tenant 1")
    said.wait_for()
    said.hover()
    shoot("connection-test")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"password": "not-this-one"}, "check login and password of the connection"),
        ({"host": "127.0.0.1", "port": "9"}, "check host, port and scheme"),
        ({"schema": "ftp"}, "schema"),
    ],
    ids=["password", "address", "scheme"],
)
def test_the_test_button_says_what_to_change(
    saved: Callable[..., None], page: Page, wrong: dict[str, str], says: str
) -> None:
    saved(**wrong)
    page.get_by_text("Test Connection Failed").wait_for()
    page.get_by_text(says).wait_for()
    assert "not-this-one" not in page.content()
