# SPDX-License-Identifier: Apache-2.0
"""Every fault at every point of a submit and of a restart, one at a time, each followed by retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.model.world import CHECKPOINTED, FAULTS, PAYMENTS, STREAM, Run, World

PLAIN_SQL = 6

pytestmark = pytest.mark.model

VARIANTS = {
    "signed in, store": {"signed_in": True, "has_store": True},
    "signed in": {"signed_in": True, "has_store": False},
    "store": {"signed_in": False, "has_store": True},
}
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


def every_fault(run: Any, **variant: bool) -> Iterator[tuple[str, World, Run, str]]:
    """One world after another, in each of which one fault has hit one point of a try of a run.

    :param run: makes the run in a new world; it may have made tries before.
    """
    for fault in FAULTS:
        if fault == "late" and not variant["has_store"]:
            continue  # a mark that shows up late cannot be told from none where nothing was written down
        point = 1
        while True:
            world = World(**variant)
            try:
                this = run(world)
                outcome = world.attempt(this, {point: fault})
                if world.point < point:
                    break
                yield f"{fault} at point {point}", world, this, outcome
            finally:
                world.close()
            point += 1


def retried(world: World, run: Run, outcome: str, dinky_task_id: int, after: float) -> str:
    """Retries until the run is over; at no time are there two jobs."""
    for _ in range(4):
        assert len(world.active(dinky_task_id)) <= 1
        if outcome == "done":
            break
        world.wait(after)
        outcome = world.attempt(run)
    world.wait(600)
    assert len(world.active(dinky_task_id)) <= 1
    return outcome


@variants
@pytest.mark.parametrize("after", [1.0, 400.0], ids=["retried at once", "retried later"])
def test_submit_ends_with_one_job_that_is_followed(variant: dict[str, bool], after: float) -> None:
    for case, world, run, outcome in every_fault(lambda world: Run("submit", STREAM, {}), **variant):
        outcome = retried(world, run, outcome, STREAM, after)

        assert outcome == "done", f"{case}: {run.told}"
        (job,) = world.active(STREAM)
        assert run.xcom["job_id"] == job.jid, case


@variants
@pytest.mark.parametrize("failed", ["its job failed", "Dinky refused it"])
def test_a_second_submit_is_not_taken_for_the_first(variant: dict[str, bool], failed: str) -> None:
    """All tries send the same mark: what the history shows of an earlier one says nothing of the submit under way."""

    def has_failed(world: World) -> Run:
        run = Run("submit", STREAM, {})
        if failed == "its job failed":
            assert world.attempt(run) == "done"
            world.core.kill_job(world.active(STREAM)[0].jid)
            world.wait(15)
        else:
            world.core.kill_cluster()
            assert world.attempt(run) == "failed"
            world.core.revive_cluster()
        return run

    for case, world, run, outcome in every_fault(has_failed, **variant):
        outcome = retried(world, run, outcome, STREAM, 1.0)

        assert outcome == "done", f"{case}: {run.told}"
        (job,) = world.active(STREAM)
        assert run.xcom["job_id"] == job.jid, case


@variants
def test_plain_sql_is_never_sent_while_it_may_be_under_way(variant: dict[str, bool]) -> None:
    for case, world, run, outcome in every_fault(lambda world: Run("submit", PLAIN_SQL, {}), **variant):
        assert submits(world) <= 1, case
        may_have_run = submits(world) == 1
        retried(world, run, outcome, PLAIN_SQL, 1.0)

        if may_have_run and variant == VARIANTS["signed in, store"] and "code 5" not in case:
            assert submits(world) == 1, f"{case}: {run.told}"


def submits(world: World) -> int:
    return sum(request.path.endswith("/submitTask") for request in world.core.requests)


@variants
@pytest.mark.parametrize(
    ("method", "dinky_task_id", "after"),
    [
        ("steps", STREAM, 1.0),
        ("steps", STREAM, 400.0),
        ("steps", PAYMENTS, 1.0),
        ("endpoint", STREAM, 1.0),
    ],
    ids=["steps", "steps, retried later", "steps, with variables", "endpoint"],
)
def test_restart_ends_with_one_job_that_has_the_state(
    variant: dict[str, bool], method: str, dinky_task_id: int, after: float
) -> None:
    given = {"variables": {"region": "EU"}} if dinky_task_id == PAYMENTS else {}

    def running(world: World) -> Run:
        earlier = Run("submit", dinky_task_id, given)
        assert world.attempt(earlier) == "done"
        world.wait(30)
        return Run("restart", dinky_task_id, {**given, "method": method})

    for case, world, run, outcome in every_fault(running, **variant):
        outcome = retried(world, run, outcome, dinky_task_id, after)

        if outcome != "done":
            assert "find it in Dinky" in run.told or "give savepoint_path" in run.told, f"{case}: {run.told}"
            continue
        (job,) = world.active(dinky_task_id)
        assert run.xcom["job_id"] == job.jid, case
        older = [path for old in world.jobs if old.jid != job.jid for path in old.savepoints]
        assert job.resumed_from in older, f"{case}: started without state\n{run.told}"


@pytest.mark.parametrize("variant", list(VARIANTS.values())[:2], ids=list(VARIANTS)[:2])
def test_repair_ends_with_one_job_that_goes_on_from_the_newest_checkpoint(variant: dict[str, bool]) -> None:
    def failed(world: World) -> Run:
        assert world.attempt(Run("submit", CHECKPOINTED, {}, run_id="earlier")) == "done"
        world.wait(60)
        (job,) = world.active(CHECKPOINTED)
        world.core.kill_job(job.jid)
        world.wait(15)
        repair = {"savepoint_path": "latest-state", "if_running": "skip", "check_sql": True}
        return Run("submit", CHECKPOINTED, repair, run_id="repair")

    for case, world, run, outcome in every_fault(failed, **variant):
        outcome = retried(world, run, outcome, CHECKPOINTED, 1.0)

        assert outcome == "done", f"{case}: {run.told}"
        (job,) = world.active(CHECKPOINTED)
        assert run.xcom["job_id"] == job.jid, case
        assert "/chk-" in (job.resumed_from or ""), f"{case}: {job.resumed_from}"
        assert run.xcom["savepoint_path"] == job.resumed_from, case
