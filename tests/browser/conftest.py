# SPDX-License-Identifier: Apache-2.0
"""A real Airflow, a sandbox, and a real browser that is signed in.

With ``DINKY_SCREENSHOTS`` set to a folder, pictures of what the tests see are written there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_demo.local_airflow import USER, LocalAirflow
from airflow_provider_dinky.sandbox import Sandbox

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: see scripts/browser.sh"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DAGS = Path(__file__).parent / "dags"
SECONDS = 60.0
MAJOR = int(version("apache-airflow").partition(".")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: see scripts/browser.sh"))
        elif item.path.stem.endswith("airflow_2") != (MAJOR == 2):
            item.add_marker(pytest.mark.skip(reason=f"for another major version of Airflow than {MAJOR}"))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=4.0, seed=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    environment = {
        "AIRFLOW_CONN_DINKY_DEFAULT": sandbox.airflow_connection,
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    }
    home = tmp_path_factory.mktemp("airflow") / "home"
    with LocalAirflow(home, DAGS, environment) as airflow:
        airflow.start()
        airflow.wait_for_dags({"follow_a_stream", "parse_amounts"})
        with airflow.api:
            yield airflow


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        # The sandbox of Chromium does not work for root in a container; all pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: sync_api.Browser, airflow: LocalAirflow) -> Iterator[sync_api.Page]:
    """A page of somebody who is signed in to Airflow."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_default_timeout(SECONDS * 1000)
    page.goto(airflow.url)
    page.locator('input[name="username"]').fill(USER)
    page.locator('input[name="password"]').fill(airflow.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    yield page
    page.close()


@pytest.fixture
def shoot_page() -> Callable[..., None]:
    """Takes a picture of a page, or of what is above the end of something, if pictures are wanted."""
    folder = os.environ.get("DINKY_SCREENSHOTS")

    def take(page: sync_api.Page, name: str, down_to: sync_api.Locator | None = None) -> None:
        if not folder:
            return
        size = page.viewport_size or {"width": 1100, "height": 900}
        box = down_to.bounding_box() if down_to is not None else None
        height = box["y"] + box["height"] if box else size["height"]
        clip: sync_api.FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": height}
        page.screenshot(path=Path(folder) / f"{name}.png", clip=clip, animations="disabled")

    return take


@pytest.fixture
def shoot(page: sync_api.Page, shoot_page: Callable[..., None]) -> Callable[..., None]:
    """The same of the page of somebody who is signed in."""
    return partial(shoot_page, page)
