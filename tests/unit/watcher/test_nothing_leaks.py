# SPDX-License-Identifier: Apache-2.0
"""A triggerer that stops in the middle of everything leaves nothing open and says nothing on its way out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.watcher.small_dinky import SmallDinky

ROOT = Path(__file__).parents[3]
CASES = (
    "signed in,return,0",
    "signed in,cancel,0",
    ",return,0",
    ",cancel,0",
    ",return,0.3",
)
"""User, how it ends, and seconds that reading the connection takes."""
COMPLAINTS = (
    *("ResourceWarning", "RuntimeWarning", "Unclosed", "Exception ignored", "Traceback"),
    *("was destroyed", "never retrieved", "never awaited", "airflow_provider_dinky"),
)
PROGRAM = """
import asyncio, gc, sys, time
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.job import WaitFor
from airflow_provider_dinky.jobs.follower import Follower
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.watcher import Subscription, WatchedTasks, ask, board, follow

async def wait_for(job, read_config):
    now = asyncio.get_running_loop().time()
    subscription = Subscription(Follower(WaitFor.FINISHED, now), job, poll_interval=0.02)
    await follow("dinky", subscription, read_config, lambda line: None)

async def read_boards(first, read_config):
    watched = WatchedTasks()
    for task in range(first, first + 20):
        watched.enter(task, task, 0.02)
    async for one in board("dinky", read_config, watched):
        pass

def look(config):
    return (yield calls.get_job_instance(7)).id

async def ask_on(read_config):
    while True:
        await ask("dinky", read_config, look)

async def main(ending, read_config):
    # asyncio's own complaint about a slow machine is not what is looked for.
    asyncio.get_running_loop().slow_callback_duration = 60
    tasks = [asyncio.create_task(wait_for(job, read_config)) for job in range(1, 61)]
    tasks += [asyncio.create_task(read_boards(first, read_config)) for first in (1, 11)]
    tasks += [asyncio.create_task(ask_on(read_config)) for _ in range(8)]
    await asyncio.sleep(0.2)
    for task in (leaving := tasks[:20] + tasks[60:61] + tasks[62:65]):
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    if ending == "cancel":
        for task in tasks:
            task.cancel()

for case in sys.argv[2:]:
    user, ending, slow = case.split(",")
    def read_config():
        time.sleep(float(slow))
        return DinkyConfig(sys.argv[1], username=user, password=user)
    asyncio.run(main(ending, read_config))
    gc.collect()
print("done")
"""


@pytest.mark.real_time
async def test_an_abrupt_end(dinky: SmallDinky) -> None:
    # An interpreter that dies of a signal, as some versions do now and then on a busy machine, has told nothing yet.
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", PROGRAM, dinky.url, *CASES),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        # A warning in a destructor cannot be raised: it is printed.
        said, complained = await asyncio.wait_for(process.communicate(), 90)
        if process.returncode is not None and process.returncode >= 0:
            break

    # Some versions of Airflow talk of other things while they are imported.
    assert [
        line for line in complained.decode().splitlines() if any(map(line.__contains__, COMPLAINTS))
    ] == []
    assert said.decode().split()[-1:] == ["done"], complained.decode()[-3_000:]
    assert process.returncode == 0
    assert len(dinky.looks()) >= 40
