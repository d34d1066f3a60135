# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of simulated jobs: when they come, which stay, and what starts from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dinky.sandbox.tasks import TaskSpec
from airflow_provider_dinky.sandbox.timing import Timing

if TYPE_CHECKING:
    from conftest import Driver

STREAM, CHECKPOINTED = 1, 10
EVERY = 10.0
RETENTIONS = ("none", "on_failure", "on_cancellation")


async def view(dinky: Driver, number: int = 0) -> Any:
    """What Flink tells of the checkpoints of a job."""
    return await dinky.get(f"/jobs/{dinky.core.engine.jobs[number].jid}/checkpoints")


async def newest(dinky: Driver, number: int = 0) -> Any:
    return (await view(dinky, number))["latest"]["completed"]


async def savepoint(dinky: Driver, task_id: int = CHECKPOINTED, kind: str = "trigger") -> str:
    answer = await dinky.post("/openapi/savepoint", taskId=task_id, savePointType=kind)
    return str(answer["data"]["jobInfos"][0]["savePoint"])


def _tasks_from(dinky: Driver, number: int) -> float:
    job, timing = dinky.core.engine.jobs[number], Timing()
    return job.started + timing.job_start + (timing.restore if job.resumed_from else timing.task_start)


async def run_until(dinky: Driver, seconds: float, number: int = 0) -> None:
    """Let time pass until the job runs for so long."""
    running_from = _tasks_from(dinky, number)
    await dinky.clock.advance(running_from + seconds - dinky.clock.now())


async def test_a_job_without_checkpoints_has_none(dinky: Driver) -> None:
    await dinky.start(STREAM)
    await dinky.clock.advance(1000.0)
    shown = await view(dinky)
    assert (shown["counts"]["total"], shown["latest"]["completed"], shown["history"]) == (0, None, [])
    config = await dinky.get(f"/jobs/{dinky.core.engine.jobs[0].jid}/checkpoints/config")
    assert config["interval"] == 2**63 - 1


async def test_they_come_at_their_interval(dinky: Driver) -> None:
    await dinky.submit(CHECKPOINTED)
    await run_until(dinky, EVERY - 0.1)
    assert (await view(dinky))["counts"]["completed"] == 0
    await run_until(dinky, EVERY)
    first = await view(dinky)
    assert first["counts"] == {"restored": 0, "total": 1, "in_progress": 0, "completed": 1, "failed": 0}
    await run_until(dinky, 3 * EVERY + 1)
    third = (await view(dinky))["latest"]["completed"]
    assert third["id"] == 3
    running_from = _tasks_from(dinky, 0)
    assert third["latest_ack_timestamp"] == pytest.approx((running_from + 3 * EVERY) * 1000, abs=1)


async def test_a_checkpoint_looks_as_flink_shows_it(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    await savepoint(dinky)
    await dinky.clock.advance(EVERY)
    shown = await view(dinky)
    checkpoint, of_savepoint = shown["latest"]["completed"], shown["latest"]["savepoint"]
    assert checkpoint.keys() == of_savepoint.keys()
    kept = ("className", "status", "is_savepoint", "savepointFormat", "checkpoint_type", "discarded")
    assert [checkpoint[key] for key in kept] == ["completed", "COMPLETED", False, None, "CHECKPOINT", False]
    jid = dinky.core.engine.jobs[0].jid
    assert checkpoint["external_path"].startswith("file:/")
    assert checkpoint["external_path"].endswith(f"/checkpoints/{jid}/chk-{checkpoint['id']}")


async def test_only_the_newest_is_kept_and_savepoints_are(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(2 * EVERY)
    path = await savepoint(dinky)
    await dinky.clock.advance(2 * EVERY)
    history = (await view(dinky))["history"]
    assert [one["id"] for one in history] == list(range(len(history), 0, -1))
    times = [one["latest_ack_timestamp"] for one in history]
    assert times == sorted(times, reverse=True)
    assert [one["external_path"] for one in history if one["is_savepoint"]] == [path]
    checkpoints = [one for one in history if not one["is_savepoint"]]
    assert [one["discarded"] for one in checkpoints] == [False, *[True] * (len(checkpoints) - 1)]
    assert [one["discarded"] for one in history if one["is_savepoint"]] == [False]


async def test_the_history_holds_the_last_ten_but_the_newest_savepoint_is_told(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    path = await savepoint(dinky)
    await dinky.clock.advance(20 * EVERY)
    shown = await view(dinky)
    assert len(shown["history"]) == 10
    assert not any(one["is_savepoint"] for one in shown["history"])
    assert shown["latest"]["savepoint"]["external_path"] == path
    assert shown["counts"]["completed"] > 20


async def test_the_settings_are_shown(make_driver: Callable[..., Driver]) -> None:
    tasks = [
        TaskSpec(number, retention, checkpoint_every=2.5, retain_checkpoints=retention)
        for number, retention in enumerate(RETENTIONS, start=1)
    ]
    dinky = make_driver(tasks=tasks)
    shown = []
    for task in tasks:
        await dinky.submit(task.id)
        config = await dinky.get(f"/jobs/{dinky.core.engine.jobs[-1].jid}/checkpoints/config")
        assert (config["mode"], config["interval"]) == ("exactly_once", 2500)
        shown.append(config["externalization"])
    assert shown == [
        {"enabled": False, "delete_on_cancellation": True},
        {"enabled": True, "delete_on_cancellation": True},
        {"enabled": True, "delete_on_cancellation": False},
    ]


@pytest.mark.parametrize(
    ("retention", "end", "kept"),
    [
        ("none", "FAILED", False),
        ("none", "CANCELED", False),
        ("none", "FINISHED", False),
        ("on_failure", "FAILED", True),
        ("on_failure", "CANCELED", False),
        ("on_failure", "FINISHED", False),
        ("on_cancellation", "FAILED", True),
        ("on_cancellation", "CANCELED", True),
        ("on_cancellation", "FINISHED", False),
    ],
)
async def test_what_stays_of_a_job_that_has_ended(
    make_driver: Callable[..., Driver], retention: Any, end: str, kept: bool
) -> None:
    dinky = make_driver(tasks=[TaskSpec(1, "a", checkpoint_every=EVERY, retain_checkpoints=retention)])
    instance_id = await dinky.start(1)
    await dinky.clock.advance(3 * EVERY)
    path = (await newest(dinky))["external_path"]
    if end == "FAILED":
        dinky.core.kill_job(dinky.core.engine.jobs[0].jid)
    elif end == "CANCELED":
        await dinky.get("/openapi/cancel", id=1)
    else:
        dinky.core.finish_job(dinky.core.engine.jobs[0].jid)
    await dinky.until(instance_id, end)
    shown = (await view(dinky))["history"]
    assert [one["external_path"] for one in shown if not one["discarded"]] == ([path] if kept else [])
    answer = await dinky.submit(1, path)
    assert answer["code"] == (0 if kept else 5)
    if not kept:
        assert "Cannot find checkpoint or savepoint file/directory" in answer["data"]


async def test_none_comes_after_the_job_has_ended_or_is_about_to(dinky: Driver) -> None:
    first, second = await dinky.start(CHECKPOINTED), await dinky.start(CHECKPOINTED)
    dinky.core.slow_stop(100.0)
    before = [(await view(dinky, number))["counts"]["total"] for number in (0, 1)]
    dinky.core.kill_job(dinky.core.engine.jobs[0].jid)
    await dinky.get("/openapi/cancel", id=CHECKPOINTED)
    await dinky.until(first, "FAILED")
    await dinky.until(second, "CANCELLING")
    await dinky.clock.advance(5 * EVERY)
    assert [(await view(dinky, number))["counts"]["total"] for number in (0, 1)] == before


async def test_none_comes_while_a_task_manager_is_missing(dinky: Driver) -> None:
    instance_id = await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(EVERY)
    before = await newest(dinky)
    dinky.core.lose_task_manager()
    await dinky.until(instance_id, "FAILED")
    assert await newest(dinky) == before
    assert before["discarded"] is False


async def test_the_savepoint_of_a_stop_is_the_last(dinky: Driver) -> None:
    instance_id = await dinky.start(CHECKPOINTED)
    dinky.core.slow_stop(100.0)
    await savepoint(dinky, kind="stop")
    await dinky.until(instance_id, "FINISHED")
    assert (await view(dinky))["history"][0]["is_savepoint"] is True


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path,
        lambda path: path.removeprefix("file:"),
        lambda path: path.replace("file:/", "file:///"),
        lambda path: f"{path}/_metadata",
    ],
)
async def test_a_job_starts_from_a_checkpoint_and_counts_on(
    dinky: Driver, written: Callable[[str], str]
) -> None:
    await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(3 * EVERY)
    checkpoint = await newest(dinky)
    path = written(checkpoint["external_path"])
    await dinky.start(CHECKPOINTED, path)
    assert dinky.core.engine.jobs[1].resumed_from == path
    shown = await view(dinky, 1)
    restored = shown["latest"]["restored"]
    assert (restored["id"], restored["external_path"]) == (checkpoint["id"], path)
    assert restored["is_savepoint"] is True, "Flink says so of whatever a job was started from"
    assert shown["counts"]["restored"] == 1
    await run_until(dinky, EVERY, 1)
    assert (await newest(dinky, 1))["id"] == checkpoint["id"] + 1


async def test_a_checkpoint_that_made_room_for_a_newer_one_is_gone(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(EVERY)
    path = (await newest(dinky))["external_path"]
    await dinky.clock.advance(EVERY)
    assert (await dinky.submit(CHECKPOINTED, path))["code"] == 5


async def test_a_savepoint_that_was_removed_is_gone(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    path = await savepoint(dinky)
    folder = Path(path.removeprefix("file:"))
    assert (await dinky.submit(CHECKPOINTED, path))["code"] == 0
    (folder / "_metadata").unlink()
    folder.rmdir()
    assert (await dinky.submit(CHECKPOINTED, path))["code"] == 5


async def test_what_a_job_was_started_from_is_told_without_checkpoints_as_well(dinky: Driver) -> None:
    await dinky.start(STREAM)
    path = await savepoint(dinky, STREAM)
    await dinky.start(STREAM, path)
    assert (await view(dinky, 1))["latest"]["restored"]["external_path"] == path


async def test_the_checkpoint_of_a_lost_cluster_is_still_there(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(EVERY)
    path = (await newest(dinky))["external_path"]
    dinky.core.revive_cluster(jobs_survive=False)
    assert (await dinky.submit(CHECKPOINTED, path))["code"] == 0


async def test_failing_checkpoints(dinky: Driver) -> None:
    await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(EVERY)
    good = await newest(dinky)
    dinky.core.fail_checkpoints()
    dinky.core.fail_checkpoints()
    await dinky.clock.advance(3 * EVERY)
    shown = await view(dinky)
    counts = shown["counts"]
    assert (counts["completed"], counts["failed"]) == (good["id"], 3)
    assert shown["latest"]["completed"] == good, "it is not replaced by one that failed"
    failed = shown["latest"]["failed"]
    assert (failed["className"], failed["status"], failed["id"]) == ("failed", "FAILED", good["id"] + 3)
    assert failed["failure_timestamp"] > good["latest_ack_timestamp"]
    assert failed["failure_message"]
    assert "external_path" not in failed
    assert shown["history"][0] == failed
    assert dinky.core.engine.jobs[0].state == "RUNNING"
    dinky.core.fail_checkpoints(False)
    await dinky.clock.advance(EVERY)
    again = await view(dinky)
    assert again["latest"]["completed"]["id"] == failed["id"] + 1
    assert again["latest"]["failed"] == failed


async def test_dinky_passes_them_on(dinky: Driver) -> None:
    await dinky.sign_in()
    instance_id = await dinky.start(CHECKPOINTED)
    await dinky.clock.advance(EVERY)
    path = "/api/jobInstance/refreshJobInfoDetail"
    data = (await dinky.get(path, id=instance_id, isForce="true"))["data"]["jobDataDto"]
    # Dinky prints percentiles as texts.
    passed_on, flink = data["checkpoints"], await view(dinky)
    assert {**passed_on, "summary": None} == {**flink, "summary": None}
    assert data["checkpointsConfig"]["interval"] == 10_000
