# SPDX-License-Identifier: Apache-2.0
"""In what the versions of Dinky differ for a client: the token's name, what it reports, who may come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.messages import Request, Response

if TYPE_CHECKING:
    from conftest import Driver

STREAM = 1
COUNT = "/api/jobInstance/getStatusCount"
NAMES = {"1.0": "token", "1.1": "token", "1.2": "dinky-token"}


@pytest.fixture(params=sorted(NAMES))
def dinky(request: pytest.FixtureRequest, make_driver: Callable[..., Driver]) -> Driver:
    return make_driver(dinky=request.param)


async def _ask(dinky: Driver, method: str, path: str, **details: Any) -> Response:
    return await dinky.clock.run(dinky.core.handle(replace(Request.of(method, path), **details)))


async def test_the_token_has_one_name_in_cookie_header_and_login(dinky: Driver) -> None:
    name = NAMES[dinky.core.dinky.version.name]
    other = "token" if name == "dinky-token" else "dinky-token"
    answer = await dinky.send("POST", "/api/login", {"username": "admin", "password": "admin"})
    assert answer.json["data"]["tokenInfo"]["tokenName"] == name
    cookie, token = answer.headers["Set-Cookie"].split(";")[0].split("=")
    assert cookie == name
    for where in ("cookies", "headers"):
        assert (await _ask(dinky, "GET", COUNT, **{where: {name: token}})).status == 200
        wrong = await _ask(dinky, "GET", COUNT, **{where: {other: token}})
        assert (wrong.status, wrong.json["code"], wrong.json["msg"]) == (401, 7, "Can Not Read Token")
    both = {other: token, name: token, "tenantId": "1"}
    assert (await _ask(dinky, "GET", COUNT, cookies=both)).status == 200


async def test_it_says_which_version_it_is(make_driver: Callable[..., Driver]) -> None:
    assert [(await make_driver(dinky=name).get("/openapi/version"))["data"] for name in sorted(NAMES)] == [
        "1.0.3",
        "1.1.0",
        "1.2.0",
    ]
    with pytest.raises(ValueError, match="must be one of 1.0, 1.1, 1.2"):
        SandboxCore(dinky="2.0")


@pytest.mark.parametrize("token", [None, "not-a-token", "own"])
async def test_the_open_api_acts_as_who_is_signed_in_or_else_as_the_admin(
    make_driver: Callable[..., Driver], token: str | None
) -> None:
    dinky = make_driver(dinky="1.2", username="airflow")
    login = await dinky.send("POST", "/api/login", {"username": "airflow", "password": "admin"})
    own = login.headers["Set-Cookie"].split(";")[0].partition("=")[2]
    dinky.token_name, dinky.token = "dinky-token", own if token == "own" else token
    submitted = (await dinky.submit(STREAM))["data"]["jobInstanceId"]
    assert (await dinky.instance(submitted))["operator"] == (2 if token == "own" else 1)


async def test_an_open_api_that_asks_for_a_token(dinky: Driver) -> None:
    dinky.core.ask_for_token()
    refused = await dinky.send("GET", "/openapi/version")
    assert (refused.status, refused.json["code"], refused.json["msg"]) == (401, 7, "Can Not Read Token")
    await dinky.sign_in()
    assert (await dinky.submit(STREAM))["code"] == 0
    dinky.core.ask_for_token(False)
    dinky.token = None
    assert (await dinky.send("GET", "/openapi/version")).status == 200


async def test_a_gateway_that_asks_for_a_header_of_its_own(dinky: Driver) -> None:
    dinky.core.ask_for_header("Authorization", "Bearer secret")
    refused = await dinky.send("GET", "/openapi/version")
    assert (refused.status, refused.content_type) == (401, "text/html")
    headers = {"authorization": "Bearer secret"}
    assert (await _ask(dinky, "GET", "/openapi/version", headers=headers)).status == 200


async def test_savepoints_of_1_2_fail_inside_dinky_and_the_job_runs_on(
    make_driver: Callable[..., Driver],
) -> None:
    dinky = make_driver(dinky="1.2")
    await dinky.start(STREAM)
    for kind in ("trigger", "stop", "cancel"):
        answer = await dinky.post("/openapi/savepoint", taskId=STREAM, savePointType=kind)
        assert answer["code"] == 5
        assert "Caused by: java.lang.IllegalArgumentException: protocol = http host = null" in answer["data"]
    assert (await dinky.get("/openapi/restartTask", id=STREAM))["code"] == 5
    assert [job.state for job in dinky.core.engine.jobs] == ["RUNNING"]
    dinky.core.fail_savepoints(False)
    assert (await dinky.get("/openapi/restartTask", id=STREAM))["code"] == 0


async def test_1_2_shows_an_ended_job_from_its_archive(make_driver: Callable[..., Driver]) -> None:
    dinky = make_driver(dinky="1.2")
    await dinky.sign_in()
    instance = (await dinky.submit(4))["data"]["jobInstanceId"]
    await dinky.until(instance, "FAILED")
    data = (await dinky.get("/api/jobInstance/getJobInfoDetail", id=instance))["data"]["jobDataDto"]
    exceptions = data["exceptions"]
    assert (exceptions["root-exception"], exceptions["all-exceptions"]) == ("", None)
    assert "NumberFormatException" in exceptions["exceptionHistory"]["entries"][0]["stacktrace"]
    assert data["checkpoints"]["latest"] is None
