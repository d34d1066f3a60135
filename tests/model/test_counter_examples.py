# SPDX-License-Identifier: Apache-2.0
"""What once led to a second job, or to none: each as short as it can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_dinky import submission
from tests.model.world import STREAM, Run, World

pytestmark = pytest.mark.model

REPORT, PLAIN_SQL = 2, 6
SUBMIT, HISTORY, NEWEST = "/submitTask", "/history/list", "/getJobInstanceByTaskId"

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    worlds: list[World] = []

    def make(signed_in: bool = True, has_store: bool = True) -> World:
        worlds.append(World(signed_in=signed_in, has_store=has_store))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture(params=[True, False], ids=["store", "no store"])
def has_store(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def submits(world: World) -> int:
    return sum(request.path.endswith(SUBMIT) for request in world.core.requests)


def the_job(world: World, dinky_task_id: int = STREAM) -> Any:
    """The only active one."""
    (job,) = world.active(dinky_task_id)
    return job


class TestSecondSubmitOfARun:
    """All tries of a run send the same mark, so Dinky's history shows those of the earlier ones, too."""

    @pytest.fixture(params=["its job failed", "Dinky refused it"])
    def world(self, request: pytest.FixtureRequest, make_world: MakeWorld, has_store: bool) -> World:
        world = make_world(has_store=has_store)
        if request.param == "its job failed":
            assert world.attempt(self.run) == "done"
            world.core.kill_job(the_job(world).jid)
            world.wait(15)
        else:
            world.core.kill_cluster()
            assert world.attempt(self.run) == "failed"
            world.core.revive_cluster()
        return world

    @pytest.fixture(autouse=True)
    def a_run(self) -> None:
        self.run = Run("submit", STREAM, {})

    @pytest.mark.parametrize("fault", ["late", "reset after", "html"])
    def test_whose_answer_is_lost_is_found(self, world: World, fault: str) -> None:
        world.plan_of[SUBMIT] = [fault]

        assert world.attempt(self.run) == "done"
        assert self.run.xcom["job_id"] == the_job(world).jid

    @pytest.mark.parametrize("fault", ["crash during", "crash after"])
    def test_whose_try_dies_is_found_by_the_next(self, world: World, fault: str) -> None:
        world.plan_of[SUBMIT] = [fault]
        assert world.attempt(self.run) == "crashed"

        assert world.attempt(self.run) == "done"
        world.wait(100)
        assert self.run.xcom["job_id"] == the_job(world).jid

    def test_that_did_not_arrive_is_not_taken_for_started(self, world: World) -> None:
        world.plan_of[SUBMIT] = ["reset before"]

        assert world.attempt(self.run) == "failed"
        assert "no sign of its job was found" in self.run.error
        assert not world.active(STREAM)


class TestLookingForALostAnswer:
    """A read that fails says nothing about the submit."""

    @pytest.mark.parametrize("fault", ["html", "code 5", "502 before", "reset after"])
    @pytest.mark.parametrize(("signed_in", "looks_at"), [(True, HISTORY), (True, NEWEST), (False, NEWEST)])
    def test_goes_on_when_a_look_fails(
        self, make_world: MakeWorld, has_store: bool, fault: str, signed_in: bool, looks_at: str
    ) -> None:
        world = make_world(signed_in, has_store)
        world.plan_of[SUBMIT] = ["reset after"]
        before = [""] if looks_at == HISTORY else ["", ""]
        world.plan_of[looks_at] = [*before, fault, fault]
        run = Run("submit", STREAM, {})

        assert world.attempt(run) == "done"
        assert not world.plan_of[looks_at], "not all faults were met"
        assert run.xcom["job_id"] == the_job(world).jid
        assert submits(world) == 1

    @pytest.mark.parametrize("fault", ["html", "code 5"])
    def test_ends_in_doubt_and_not_in_a_refusal_when_all_looks_fail(
        self, make_world: MakeWorld, has_store: bool, fault: str
    ) -> None:
        world = make_world(has_store=has_store)
        world.plan_of = {SUBMIT: ["reset after"], HISTORY: ["", *[fault] * 100]}
        run = Run("submit", STREAM, {})

        assert world.attempt(run) == "failed"
        assert "Look into Dinky whether a job of the task runs" in run.error
        world.plan_of.clear()
        assert world.attempt(run) == "done"
        assert run.xcom["job_id"] == the_job(world).jid
        assert submits(world) == 1


class TestManyLaterSubmitsOfTheSameTask:
    """As a mapped backfill makes them."""

    @pytest.fixture
    def run(self) -> Run:
        return Run("submit", REPORT, {})

    def done_long_ago(self, world: World, run: Run, later: int) -> None:
        assert world.attempt(run) == "done"
        world.wait(60)
        store, task = world.core.dinky.store, world.core.dinky.task(REPORT)
        for number in range(later):
            row = store.add_history(task, {"airflow_run_key": f"another/{number}"}, None, world.now())
            row.status, row.jid = 2, f"{number:032x}"
            store.add_instance(row, row.jid, world.now()).status = "FINISHED"

    @pytest.mark.parametrize("later", [49, 50, 51, 120])
    def test_do_not_hide_ours(self, make_world: MakeWorld, has_store: bool, run: Run, later: int) -> None:
        world = make_world(has_store=has_store)
        self.done_long_ago(world, run, later)
        run.stored = {key: {**entry, "step": "submit", "job": {}} for key, entry in run.stored.items()}

        assert world.attempt(run) == "done"
        assert run.xcom["job_instance_id"] == 1
        assert submits(world) == 1

    def test_cost_one_request_while_there_are_few(self, make_world: MakeWorld, run: Run) -> None:
        world = make_world(has_store=False)
        world.attempt(run)

        assert sum(request.path.endswith(HISTORY) for request in world.core.requests) == 1

    def test_end_the_search_where_the_run_began(self, make_world: MakeWorld, run: Run) -> None:
        world = make_world()
        self.done_long_ago(world, Run("submit", REPORT, {}, run_id="earlier"), 300)
        world.plan_of[SUBMIT] = ["crash before"]
        assert world.attempt(run) == "crashed"
        asked = sum(request.path.endswith(HISTORY) for request in world.core.requests)
        world.wait(400)
        world.plan_of[SUBMIT] = ["crash before"]
        world.attempt(run)

        assert sum(request.path.endswith(HISTORY) for request in world.core.requests) == asked + 1

    def test_so_many_that_the_search_ends_before_are_left_to_a_person(
        self, make_world: MakeWorld, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_world(has_store=True)
        self.done_long_ago(world, run, 120)
        # What was written down says that a submit was sent, and no more.
        entry = run.stored["dinky_0"]
        run.stored["dinky_0"] = {**entry, "step": "submit", "job": {}}
        monkeypatch.setattr(submission, "MOST_PAGES", 2)

        assert world.attempt(run) == "failed"
        assert "too long to be searched" in run.error
        assert "Nothing was submitted" in run.error
        assert submits(world) == 1


def test_a_flink_job_id_that_two_instances_share_does_not_mix_them_up(make_world: MakeWorld) -> None:
    """Flink's application mode gives all jobs of a cluster the same id."""
    world = make_world(has_store=False)
    run = Run("submit", REPORT, {})
    assert world.attempt(run) == "done"
    store = world.core.dinky.store
    row = store.add_history(world.core.dinky.task(REPORT), {}, None, world.now())
    row.status, row.jid = 2, run.xcom["job_id"]
    store.add_instance(row, row.jid, world.now())

    assert world.attempt(run) == "done", run.told
    assert run.xcom["job_instance_id"] == 1


class TestPlainSqlWhoseAnswerIsLost:
    @pytest.mark.parametrize("fault", ["reset after", "reset before", "html", "crash during", "late"])
    def test_is_not_sent_again_until_it_is_cleared(self, make_world: MakeWorld, fault: str) -> None:
        world = make_world()
        world.plan_of[SUBMIT] = [fault]
        run = Run("submit", PLAIN_SQL, {})
        assert world.attempt(run) in ("failed", "crashed")
        sent = submits(world)

        for _ in range(2):
            assert world.attempt(run) == "failed"
            assert "leaves no trace in Dinky" in run.error
        assert submits(world) == sent
        run.clears += 1
        assert world.attempt(run) == "done"


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
@pytest.mark.parametrize("entry", ["?", 7, {}, {"step": "teleport"}, {"step": "submit", "run_key": "x"}])
def test_an_entry_that_cannot_be_read_is_not_taken_for_none(
    make_world: MakeWorld, signed_in: bool, entry: Any
) -> None:
    world = make_world(signed_in)
    run = Run("submit", STREAM, {})
    world.plan_of[SUBMIT] = ["crash during"]
    world.attempt(run)
    run.stored = dict.fromkeys(run.stored, entry)

    assert world.attempt(run) == "failed"
    assert "cannot be read" in run.error
    assert "clear the task to start anew" in run.error
    assert submits(world) == 1
