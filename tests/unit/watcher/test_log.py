# SPDX-License-Identifier: Apache-2.0
"""What subscribers are told, and in whose context things happen."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable

import pytest

from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.watcher.polling import Poller
from tests.unit.watcher.small_dinky import SmallDinky, bad_gateway
from tests.unit.watcher.subscribers import Subscribe, Subscriber, until

airflow_task = contextvars.ContextVar("airflow_task", default="nobody")


class Contexts(logging.Handler):
    """Notes in whose context each line of the package was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((airflow_task.get(), record.getMessage()))


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> Contexts:
    handler = Contexts()
    logger = logging.getLogger("airflow_provider_dinky.watcher")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    return handler


async def test_only_changes_are_said_and_the_end_is_not(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    dinky.status[7] = "INITIALIZING"
    subscriber = subscribe(config, 7, poll_interval=0.02, dinky_task_id=3)
    await until(lambda: dinky.looks()[7] >= 3)
    dinky.status[7] = "RUNNING"
    await until(lambda: subscriber.status == "RUNNING")
    await until(lambda: dinky.looks()[7] >= 8)
    dinky.status[7] = "FINISHED"
    await subscriber.ended()

    assert subscriber.lines == [
        "State of job instance 7 of Dinky task 3: INITIALIZING",
        "State of job instance 7 of Dinky task 3: RUNNING",
    ]


async def test_a_sign_of_life_while_nothing_changes(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("wait_log", HEARTBEAT=0.2)
    subscriber = subscribe(config, 7, poll_interval=0.02)
    await until(lambda: len(subscriber.lines) >= 3)

    assert subscriber.lines[0] == "State of job instance 7: RUNNING"
    assert all(line.startswith("State of job instance 7: RUNNING, for ") for line in subscriber.lines[1:])
    assert dinky.looks()[7] > len(subscriber.lines)


async def test_a_sign_of_life_before_there_is_a_run(
    dinky: SmallDinky, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("wait_log", HEARTBEAT=0.1)
    subscriber = subscribe(dinky.anonymous, None, dinky_task_id=3, newer_than=9)
    await until(lambda: subscriber.lines)

    assert subscriber.lines == ["A job of Dinky task 3 newer than instance 9 is not there yet"]


async def test_silence_and_its_end(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe, short: Callable[..., None]
) -> None:
    short("wait_log", SILENCE_WORTH_A_WORD=0.2)
    subscribers = [subscribe(config, job) for job in range(1, 6)]
    await until(lambda: all(subscriber.status for subscriber in subscribers))
    dinky.instead[""] = bad_gateway
    await until(lambda: all(len(subscriber.lines) == 2 for subscriber in subscribers))
    asked = len(dinky.asked)
    await until(lambda: len(dinky.asked) >= asked + 5)
    dinky.instead.clear()
    await until(lambda: all(len(subscriber.lines) == 3 for subscriber in subscribers))

    for subscriber in subscribers:
        state, silence, back = subscriber.lines
        assert state.endswith("RUNNING")
        assert silence.startswith("No answer for ")
        assert "HTTP 502" in silence
        assert back == "Dinky answers again"


async def test_the_poll_loop_is_in_nobodys_context(
    dinky: SmallDinky,
    config: DinkyConfig,
    subscribe: Subscribe,
    contexts: Contexts,
    short: Callable[..., None],
) -> None:
    short("connection", READ_GAP=0.05, READ_EVERY=0.05)
    read_by: list[str] = []

    def read_config() -> DinkyConfig:
        read_by.append(airflow_task.get())
        return config

    airflow_task.set("first")
    subscriber = subscribe(read_config, 1)
    airflow_task.set("second")
    other = subscribe(read_config, 2)
    await until(lambda: subscriber.status and other.status and len(read_by) >= 3)
    dinky.instead[""] = bad_gateway
    await until(lambda: any("did not answer" in line for _, line in contexts.seen))

    assert set(read_by) == {"nobody"}
    assert {who for who, _ in contexts.seen} == {"nobody"}


async def test_its_death_is_in_nobodys_log(
    dinky: SmallDinky,
    config: DinkyConfig,
    subscribe: Subscribe,
    contexts: Contexts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def dies(poller: Poller) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Poller, "run", dies)
    airflow_task.set("first")
    subscribe(config, 1)
    await until(lambda: contexts.seen)

    assert contexts.seen[0] == ("nobody", "Polling for connection 'dinky' broke off")


async def test_each_subscriber_says_it_in_its_own_context(
    dinky: SmallDinky, config: DinkyConfig, subscribe: Subscribe
) -> None:
    said_by: dict[int, str] = {}

    def subscribed(job: int) -> Subscriber:
        airflow_task.set(f"task {job}")
        return subscribe(config, job, say=lambda line: said_by.update({job: airflow_task.get()}))

    for job in (1, 2, 3):
        subscribed(job)
    await until(lambda: len(said_by) == 3)

    assert said_by == {job: f"task {job}" for job in (1, 2, 3)}
