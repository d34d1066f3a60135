# SPDX-License-Identifier: Apache-2.0
"""What the contract tests compare for the simulated engine, with the real one: recordings of a real Dinky 1.1.0."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import sys
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_provider_dinky.sandbox.clock import WallClock
from airflow_provider_dinky.sandbox.flink.runtime import FlinkRuntime
from airflow_provider_dinky.sandbox.messages import Response

from .conftest import end_all, until

CONTRACT = Path(__file__).parents[1] / "contract"
sys.path.append(str(CONTRACT))

from compare import differences  # noqa: E402
from recorded import Exchange, StatusWalk  # noqa: E402
from replay import FLINK, Replay  # noqa: E402
from test_sandbox_agrees import ALLOWED, Replayed, disagreements, play  # noqa: E402

T = TypeVar("T")


class RealTime(WallClock):
    """Passes by itself; where the recording did nothing for long, not for as long."""

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 5.0))

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await coroutine


# What else differs: (exchange, path of the value), each a pattern, and why.
FLINK_1_20 = "Flink 1.20 says more than the recorded 1.18, or says it otherwise"
ALSO_ALLOWED = [
    ("failed_detail|refresh_running|flink_job_failed", r".*\.(job-type|slotSharingGroupId)", FLINK_1_20),
    ("failed_detail|flink_exceptions", r".*\.endpoint", FLINK_1_20),
    ("refresh_running|flink_job_failed", r".*\.(name|description|inputs)", "its plan has two nodes"),
    ("failed_detail|flink_exceptions", r".*\.(taskManagerId|location)", "where the job ran"),
]
BY_CHANCE = [
    ("flink_jobs_overview|flink_via_dinky_proxy", r"\$\.jobs\[0\]\.state", "the cluster has other jobs, too"),
]
# The recorded job, too, failed by a text that is made by chance.
CHANCE = re.compile(r"(?<=For input string: ')[0-9a-f]{100}(?=')")


@pytest.fixture(
    scope="module",
    # Not the later ones: tasks and lineage have nothing of Flink, and a 1.2 takes no savepoints.
    params=[
        *(CONTRACT / "recordings" / f"{name}-1.1.0.jsonl" for name in ("common-sql", "openapi")),
        *(CONTRACT / "recordings" / f"{name}-1.1.0.jsonl" for name in ("run-key-and-sign-in", "signed-in")),
    ],
    ids=lambda path: path.stem,
)
def replayed(
    request: pytest.FixtureRequest, flink: FlinkRuntime, tmp_path_factory: pytest.TempPathFactory
) -> Iterable[Replayed]:
    engine = flink.engine()

    async def replay() -> Replayed:
        savepoints = tmp_path_factory.mktemp("savepoints")
        return await play(
            request.param,
            Replay(request.param.stem, savepoints, engine=engine, pace=RealTime()),
        )

    yield asyncio.run(replay())
    until(lambda: end_all(flink, engine.jobs))


@pytest.fixture(scope="module")
def answers(replayed: Replayed, flink: FlinkRuntime) -> list[tuple[Exchange, Response]]:
    """The answers, with the address and the text made by chance as they were recorded."""

    def as_recorded(exchange: Exchange, body: str) -> str:
        text = CHANCE.search(json.dumps(exchange.body))
        body = body.replace(flink.rest.address, FLINK)
        return CHANCE.sub(text.group(), body) if text else body

    return [
        (exchange, dataclasses.replace(answer, body=as_recorded(exchange, answer.body)))
        for exchange, answer in replayed.answers
    ]


def test_every_answer_agrees_with_the_recorded_one(answers: list[tuple[Exchange, Response]]) -> None:
    allowed = [*ALLOWED, *ALSO_ALLOWED, *BY_CHANCE]
    wrong = [
        f"{exchange.label}: {found}"
        for exchange, answer in answers
        for found in disagreements(exchange, answer, allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_may_differ_does_differ(answers: list[tuple[Exchange, Response]]) -> None:
    unused = []
    for name, where, _ in ALSO_ALLOWED:
        concerned = [(e, a) for e, a in answers if re.fullmatch(name, e.name)]
        paths = [path for e, a in concerned for path, _ in differences(e.body, a.json)]
        if concerned and not any(re.fullmatch(where, path) for path in paths):
            unused.append(where)
    assert unused == []


def test_states_come_in_the_order_of_the_recorded_ones(replayed: Replayed) -> None:
    for walk, seen in replayed.walks:
        assert seen[-1] == walk.statuses[-1][1], walk.name
        assert _is_in_order(seen, walk), f"{walk.name}: {seen}"


def _is_in_order(seen: list[str], walk: StatusWalk) -> bool:
    """Whether nothing was seen that was not recorded; a state that lasts for milliseconds may be missed.

    Every job begins as INITIALIZING, also where the recording begins later.
    """
    recorded = iter(["INITIALIZING", *(status for _, status in walk.statuses if status != "INITIALIZING")])
    return all(status in recorded for status in seen)
