# SPDX-License-Identifier: Apache-2.0
"""The sandbox answers what a real Dinky answered: each recorded request is sent to it, in order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from compare import differences
from recorded import Exchange, StatusWalk, read, recordings
from replay import Replay

from airflow_provider_dinky.sandbox.messages import Response

# Where the sandbox may differ from a recording: (exchange, or its source and it; path of the value), each a
# pattern, and why.
_NAMES = r".*\.(task|taskName|name|description)"
_SETTINGS = r"\$\.data\.(versionId|(jobConfig\.)?(executorSetting\.)?(useS|s)tatementSet)"
ALLOWED = [
    ("submit_(text_id|malformed_json)", r"\$\.(msg|data)", "it does not say where in the JSON the error is"),
    ("explain_ok", r"\$\.data\[\d\]\.explain", "the planner's prose: there is no planner"),
    ("job_plan", r"\$\.data\.nodes\[0\]\.description", "every job has the same plan of one node"),
    ("(failed_detail|flink_.*)", _NAMES, "the same: one plan for all jobs"),
    ("signed-in-1.2.0-dev:.*", r".*\.(taskManagerId|location)", "where the job ran"),
    ("signed-in-1.2.0-dev:refresh_running", _NAMES, "the same: Flink numbers the nodes of all jobs"),
    (
        "signed-in-1.1.0:login_ok",
        r"\$\.data\.roleList",
        "a real server lists roles from the second sign-in on",
    ),
    ("tree.*", r"\$\.data\[0\]\.children\[\d+\]\.(task\.)?(jobInstanceId|name|statement)", "older tasks"),
    ("signed-in-1.2.0-dev:task_by_id", _SETTINGS, "it was published once, with another setting"),
    ("signed-in-1.2.0-dev:flink_.*", r"\$\.jobs\[0\]\.state", "there were older jobs"),
    ("list_instances_by_task", r"\$\.data\[0\]\.(status|finishTime)", "there were older jobs, in UNKNOWN"),
]


@dataclass
class Replayed:
    """A recording after its replay: each exchange with the sandbox's answer, each walk with its states."""

    answers: list[tuple[Exchange, Response]] = field(default_factory=list)
    walks: list[tuple[StatusWalk, list[str]]] = field(default_factory=list)


async def play(recording: Path, replay: Replay) -> Replayed:
    """Send every request of a recording."""
    replayed = Replayed()
    await replay.set_up()
    for line in read(recording):
        if isinstance(line, StatusWalk):
            replayed.walks.append((line, await replay.follow(line)))
        else:
            replayed.answers.append((line, await replay.send(line)))
    replay.core.close()
    return replayed


@pytest.fixture(scope="module", params=recordings(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return asyncio.run(play(request.param, Replay(request.param.stem, tmp_path_factory.mktemp("savepoints"))))


def disagreements(
    exchange: Exchange, response: Response, allowed: Iterable[tuple[str, str, str]] = ALLOWED
) -> list[str]:
    """What the sandbox has answered otherwise than the recorded server, unless it is allowed."""
    if response.status != exchange.status:
        return [f"recorded HTTP {exchange.status}, answered HTTP {response.status}"]
    if not isinstance(exchange.body, dict):
        return [] if response.body == exchange.body else [f"answered {response.body[:100]!r}"]
    found = list(differences(exchange.body, response.json))
    if exchange.body.get("code") != response.json.get("code"):
        found.append(
            ("$.code", f"recorded {exchange.body.get('code')}, answered {response.json.get('code')}")
        )
    return [f"{path}: {what}" for path, what in found if not _allowed(exchange, path, allowed)]


def _allowed(exchange: Exchange, path: str, allowed: Iterable[tuple[str, str, str]]) -> bool:
    return any(_is(name, exchange) and re.fullmatch(where, path) for name, where, _ in allowed)


def _is(name: str, exchange: Exchange) -> bool:
    return any(re.fullmatch(name, one) for one in (exchange.name, f"{exchange.source}:{exchange.name}"))


def test_every_answer_agrees_with_the_recorded_one(replayed: Replayed) -> None:
    assert replayed.answers
    wrong = {exchange.label: disagreements(exchange, answer) for exchange, answer in replayed.answers}
    assert {label: found for label, found in wrong.items() if found} == {}


def test_what_may_differ_does_differ(replayed: Replayed) -> None:
    """An allowance that nothing needs any more would hide the next difference."""
    unused = []
    for name, where, why in ALLOWED:
        concerned = [(e, a) for e, a in replayed.answers if _is(name, e)]
        paths = [path for e, a in concerned for path, _ in differences(e.body, a.json)]
        if concerned and not any(re.fullmatch(where, path) for path in paths):
            unused.append(why)
    assert unused == []


def test_every_job_goes_through_the_recorded_states(replayed: Replayed) -> None:
    for walk, seen in replayed.walks:
        assert seen[-1] == walk.statuses[-1][1], walk.name
        assert [status for _, status in walk.statuses if status not in seen] == [], walk.name
