# SPDX-License-Identifier: Apache-2.0
"""The clocks: real time at another speed, and time that moves only when told."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_dinky.sandbox.clock import VirtualClock, WallClock


async def test_a_fast_clock_sleeps_shorter() -> None:
    clock = WallClock(speed=100_000)
    begin, real = clock.now(), time.monotonic()
    await clock.sleep(1000.0)
    assert clock.now() - begin >= 1000.0
    assert time.monotonic() - real < 60.0


def test_time_does_not_stand_still_or_run_backwards() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        WallClock(speed=0)


async def test_sleepers_wake_at_their_moment_and_in_order() -> None:
    clock, woken = VirtualClock(start=0.0), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.now()))

    tasks = [asyncio.create_task(sleeper("a", 1.0, 1.0)), asyncio.create_task(sleeper("b", 1.5))]
    await clock.advance(1.7)
    assert woken == [("a", 1.0), ("b", 1.5)]
    assert clock.now() == 1.7
    await clock.advance(1.0)
    assert woken[-1] == ("a", 2.0)
    await asyncio.gather(*tasks)


async def test_run_lets_as_much_time_pass_as_is_waited_for() -> None:
    clock = VirtualClock(start=0.0)

    async def wait() -> str:
        await clock.sleep(3600.0)
        return "done"

    assert await clock.run(wait()) == "done"
    assert clock.now() == 3600.0


async def test_run_notices_what_can_never_happen() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await never

    with pytest.raises(RuntimeError, match="no passing of time"):
        await VirtualClock().run(wait())
