# SPDX-License-Identifier: Apache-2.0
"""Signing in, tokens and tenants, and the tenant quirk of the anonymous endpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.sandbox.messages import Request, Response

if TYPE_CHECKING:
    from conftest import Driver

STREAM = 1
COUNT = "/api/jobInstance/getStatusCount"


async def _count(dinky: Driver, **cookies: str) -> Response:
    request = replace(Request.of("GET", COUNT), cookies=cookies)
    return await dinky.clock.run(dinky.core.handle(request))


async def test_without_a_token_there_is_no_way_in(dinky: Driver) -> None:
    answer = await dinky.send("GET", COUNT)
    assert (answer.status, answer.json["code"], answer.json["msg"]) == (401, 7, "Can Not Read Token")
    assert (await dinky.send("GET", "/api/doesNotExist")).status == 401


async def test_a_wrong_password_is_http_200(dinky: Driver) -> None:
    answer = await dinky.send("POST", "/api/login", {"username": "admin", "password": "wrong"})
    assert (answer.status, answer.json["code"]) == (200, 7)
    assert "Set-Cookie" not in answer.headers


async def test_a_token_works_as_a_header_too(dinky: Driver) -> None:
    token = await dinky.sign_in()
    request = Request("GET", "/api/tokenInfo", headers={"token": token})
    answer = await dinky.clock.run(dinky.core.handle(request))
    assert answer.json["data"]["tokenValue"] == token


async def test_one_sign_in_pushes_the_other_out(dinky: Driver) -> None:
    first = await dinky.sign_in()
    second = await dinky.sign_in()
    pushed = await _count(dinky, token=first, tenantId="1")
    assert (pushed.status, pushed.json["msg"]) == (401, "token has been pushed offline")
    assert (await _count(dinky, token=second, tenantId="1")).status == 200


async def test_signing_out(dinky: Driver) -> None:
    token = await dinky.sign_in()
    await dinky.send("DELETE", "/api/outLogin")
    assert (await _count(dinky, token=token)).json["msg"] == "Invalid Token"


async def test_a_sign_in_ends_after_ten_hours(dinky: Driver) -> None:
    token = await dinky.sign_in()
    await dinky.clock.advance(36_001.0)
    assert (await _count(dinky, token=token)).status == 401


async def test_the_wrong_tenant_gets_nothing_and_is_signed_out(dinky: Driver) -> None:
    token = await dinky.sign_in()
    wrong = await _count(dinky, token=token, tenantId="99")
    assert (wrong.status, wrong.body) == (200, "")
    assert (await _count(dinky, token=token, tenantId="1")).status == 401


async def test_without_a_tenant_nothing_is_found(dinky: Driver) -> None:
    token = await dinky.sign_in()
    await dinky.submit(STREAM)
    assert (await _count(dinky, token=token)).json["data"]["all"] == 0
    assert (await _count(dinky, token=token, tenantId="1")).json["data"]["all"] == 1


async def test_an_issued_token_works_after_the_next_start_and_for_good(dinky: Driver) -> None:
    await dinky.sign_in()
    issued = (await dinky.post("/api/token/buildToken"))["data"]
    assert (await _count(dinky, token=issued)).json["msg"] == "Invalid Token"
    await dinky.clock.run(dinky.core.restart())
    assert (await _count(dinky, token=issued)).status == 200
    await dinky.sign_in()
    await dinky.send("DELETE", "/api/outLogin")
    assert (await _count(dinky, token=issued)).status == 200


async def test_a_restart_forgets_who_was_signed_in(dinky: Driver) -> None:
    token = await dinky.sign_in()
    await dinky.clock.run(dinky.core.restart())
    assert (await _count(dinky, token=token)).status == 401


async def _tries(dinky: Driver, *, helped: bool, most: int = 200) -> int:
    for tries in range(1, most + 1):
        if helped:
            await dinky.get("/openapi/getJobInstanceByTaskId", id=STREAM)
        if (await dinky.get("/openapi/cancel", id=STREAM))["code"] == 0:
            return tries
    return most + 1


async def test_after_a_start_a_task_does_not_exist_until_its_tenant_is_known(
    make_driver: Callable[..., Any],
) -> None:
    dinky = make_driver(quirks=True)
    assert await _tries(dinky, helped=False) > 200
    assert await _tries(dinky, helped=True) <= 20
    await dinky.clock.run(dinky.core.restart())
    assert await _tries(dinky, helped=False) > 200


async def test_a_busy_second_tenant_brings_it_back(make_driver: Callable[..., Any]) -> None:
    dinky = make_driver(quirks=True)
    dinky.core.other_tenant_busy(0.9)
    assert max([await _tries(dinky, helped=True) for _ in range(10)]) > 5


async def test_without_quirks_and_signed_in_it_never_happens(make_driver: Callable[..., Any]) -> None:
    plain = make_driver(quirks=False)
    assert await _tries(plain, helped=False) == 1
    signed_in = make_driver(quirks=True)
    await signed_in.sign_in()
    for _ in range(30):
        assert (await signed_in.get("/api/task/cancel", id=STREAM))["code"] == 0
