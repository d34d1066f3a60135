# SPDX-License-Identifier: Apache-2.0
"""Restarts that died between stop and start, and were then cleared: the savepoint is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dinky.client import wire
from tests.model.scene import CODE_5, HTML, Scene, crash, restart, scene, scenes, signed_in
from tests.model.world import STREAM, Run

__all__ = ["scene", "signed_in"]

pytestmark = pytest.mark.model

VARIANTS = pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "anonymous"])


def died_when_stopped(scene: Scene, run: Run) -> str:
    """The try is gone just before its new start: the path of the savepoint it took."""
    old = scene.running()
    scene.at("/submitTask", crash)
    assert scene.attempt(run) == "crashed"
    assert not scene.active(STREAM)
    return str(scene.job(old.jid).savepoints[-1])


def resumed_from(scene: Scene) -> Any:
    (job,) = scene.active(STREAM)
    return job.resumed_from


def a_submit(
    scene: Scene, variables: dict[str, str], path: str | None, *, status: int, jid: str | None = None
) -> None:
    """Another row in Dinky's history, with a job that has ended if it was accepted."""
    store = scene.core.dinky.store
    row = store.add_history(scene.core.dinky.task(STREAM), variables, path, scene.now())
    row.status, row.jid = status, jid
    if jid is not None:
        store.add_instance(row, jid, scene.now()).status = "FINISHED"


class TestIsGoneOnWith:
    @VARIANTS
    def test_when_the_try_died_before_the_new_start(self, is_signed_in: bool) -> None:
        for stage in scenes(signed_in=is_signed_in, has_store=True):
            run = restart()
            path = died_when_stopped(stage, run)
            run.clear()

            assert stage.attempt(run) == "done", run.told
            assert resumed_from(stage) == path
            assert f"Resuming from {path}: before it was cleared, this task has stopped" in run.told
            assert run.xcom["savepoint_path"] == path

    def test_also_by_a_retry_of_the_cleared_task(self, scene: Scene) -> None:
        run = restart()
        path = died_when_stopped(scene, run)
        run.clear()
        scene.at("/history/list", crash)
        assert scene.attempt(run) == "crashed"

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == path

    def test_also_after_clears_in_which_nothing_came_about(self, scene: Scene) -> None:
        run = restart()
        path = died_when_stopped(scene, run)
        for _ in range(2):
            run.clear()
            scene.at("/getJobInstanceByTaskId", crash)
            assert scene.attempt(run) == "crashed"
        run.clear()

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == path

    @pytest.mark.parametrize("after", [1.0, 400.0], ids=["cleared at once", "cleared later"])
    def test_when_the_answer_of_the_stop_was_lost(self, scene: Scene, after: float) -> None:
        old = scene.running()
        run = restart()
        scene.at("/savepoint", crash, after=True)
        assert scene.attempt(run) == "crashed"
        scene.wait(after)
        run.clear()

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == scene.job(old.jid).savepoints[-1]
        assert scene.sent("/savepoint") == 1

    def test_while_the_stop_is_under_way(self, scene: Scene) -> None:
        old = scene.running()
        run = restart()
        scene.core.slow_stop(20)
        scene.plan_of["/savepoint"] = ["crash during"]
        assert scene.attempt(run) == "crashed"
        run.clear()

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == scene.job(old.jid).savepoints[-1]
        assert scene.sent("/savepoint") == 1

    def test_when_the_new_start_and_the_way_back_were_refused(self, signed_in: Scene) -> None:
        old = signed_in.running()
        run = restart()
        signed_in.at("/submitTask", signed_in.core.kill_cluster)
        assert signed_in.attempt(run) == "failed"
        path = signed_in.job(old.jid).savepoints[-1]
        assert f"DOWN; resume it from {path}" in run.error
        signed_in.core.revive_cluster()
        signed_in.wait(60)
        run.clear()

        assert signed_in.attempt(run) == "done", run.told
        assert resumed_from(signed_in) == path

    def test_when_dinkys_own_restart_failed_between_stop_and_start(self, scene: Scene) -> None:
        old = scene.running()
        run = restart(method="endpoint")
        scene.plan_of["/restartTask"] = ["crash during"]
        assert scene.attempt(run) == "crashed"
        while scene.job(old.jid).active:
            scene.wait(0.1)
        scene.core.kill_cluster()
        scene.wait(60)
        scene.core.revive_cluster()
        run.parameters["method"] = "steps"
        run.clear()

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == scene.job(old.jid).savepoints[-1]

    def test_a_path_that_is_given_comes_first_and_the_savepoint_is_the_way_back(self, scene: Scene) -> None:
        run = restart()
        path = died_when_stopped(scene, run)
        run.clear()
        run.parameters["savepoint_path"] = "/no/such/savepoint"

        assert scene.attempt(run) == "failed"
        assert "runs as before the restart" in run.error
        assert resumed_from(scene) == path


class TestIsNamed:
    @pytest.mark.parametrize("look", ["/history/list", "/getJobInstanceByTaskId"])
    @pytest.mark.parametrize("reply", [HTML, CODE_5], ids=["html", "code 5"])
    def test_when_dinky_cannot_be_asked(self, scene: Scene, look: str, reply: wire.Reply) -> None:
        run = restart()
        path = died_when_stopped(scene, run)
        run.clear()
        scene.at(look, lambda: reply)

        assert scene.attempt(run) == "failed"
        assert f"this task has stopped the job with savepoint {path}" in run.error
        assert scene.attempt(run) == "done"
        assert resumed_from(scene) == path

    def test_as_far_as_it_is_known(self) -> None:
        for stage in scenes(signed_in=False, has_store=True):
            stage.running()
            run = restart()
            stage.at("/savepoint", crash, after=True)
            assert stage.attempt(run) == "crashed"
            run.clear()
            stage.at("/getJobInstanceByTaskId", lambda: HTML)

            assert stage.attempt(run) == "failed"
            assert "find it in Dinky under the task's savepoints" in run.error


class TestIsNotUsed:
    @VARIANTS
    @pytest.mark.parametrize("how", ["cancel", "fail"])
    def test_when_a_job_was_started_since(self, is_signed_in: bool, how: str) -> None:
        for stage in scenes(signed_in=is_signed_in, has_store=True):
            run = restart(if_no_state="fresh")
            path = died_when_stopped(stage, run)
            assert stage.attempt(Run("submit", STREAM, {}, run_id="other")) == "done"
            stage.wait(30)
            if how == "cancel":
                assert stage.attempt(Run("cancel", STREAM, {}, run_id="other")) == "done"
            else:
                stage.core.kill_job(stage.active(STREAM)[0].jid)
            stage.wait(300)
            run.clear()

            assert stage.attempt(run) == "done", run.told
            assert resumed_from(stage) is None
            assert f"savepoint {path}, which this task took before it was cleared, is not used" in run.told

    def test_when_the_new_job_was_there_and_was_cancelled(self, scene: Scene) -> None:
        """It is the newest state of the new job then, which was started from it and has none of its own."""
        old = scene.running()
        run = restart()
        assert scene.attempt(run) == "done"
        scene.wait(30)
        assert scene.attempt(Run("cancel", STREAM, {})) == "done"
        scene.wait(30)
        scene.at("/submitTask", crash)
        assert scene.attempt(run) == "crashed"
        scene.wait(300)
        run.clear()

        assert scene.attempt(run) == "done", run.told
        (path,) = scene.job(old.jid).savepoints
        assert resumed_from(scene) == path

    def test_when_the_job_went_on_after_it_and_failed(self, scene: Scene) -> None:
        old = scene.running()
        scene.core.slow_stop(60)
        run = restart()
        scene.at("/savepoint", lambda: scene.at("/refreshJobInfoDetail", crash), after=True)
        assert scene.attempt(run) == "crashed"
        scene.core.kill_job(old.jid)
        scene.wait(30)
        run.clear()

        assert scene.attempt(run) == "done", run.told
        (path,) = scene.job(old.jid).savepoints
        assert resumed_from(scene) == path, "it is the newest state of the job that failed"

    def test_when_a_job_that_was_started_since_runs(self, scene: Scene) -> None:
        run = restart()
        path = died_when_stopped(scene, run)
        assert scene.attempt(Run("submit", STREAM, {}, run_id="other")) == "done"
        scene.wait(300)
        (other,) = scene.active(STREAM)
        run.clear()

        assert scene.attempt(run) == "done", run.told
        assert resumed_from(scene) == scene.job(other.jid).savepoints[-1] != path

    def test_when_the_start_that_was_under_way_came_about(self, scene: Scene) -> None:
        scene.running()
        run = restart()
        scene.plan_of["/submitTask"] = ["crash during"]
        assert scene.attempt(run) == "crashed"
        assert not scene.active(STREAM)
        run.clear()
        began = scene.now()

        if scene.attempt(run) != "done":
            # The new job still restores its state, so that no savepoint of it can be taken yet.
            assert "was not touched" in run.error
            scene.wait(5)
            assert scene.attempt(run) == "done", run.told
        assert scene.now() - began < 60, "it is not waited for longer than it takes"
        scene.wait(600)
        (job,) = scene.active(STREAM)
        assert run.xcom["job_id"] == job.jid
        assert job.resumed_from is not None

    def test_when_a_job_that_was_started_since_has_the_same_id_in_flink(self, scene: Scene) -> None:
        """Flink's application mode gives all jobs of a cluster the same id."""
        old = scene.running()
        run = restart()
        scene.at("/submitTask", crash)
        assert scene.attempt(run) == "crashed"
        a_submit(scene, {}, None, status=2, jid=old.jid)
        scene.wait(300)
        run.clear()

        assert scene.attempt(run) == "done", run.told
        # By its name the savepoint is the last job's.
        assert resumed_from(scene) == scene.job(old.jid).savepoints[-1]

    @pytest.mark.parametrize("case", ["on its way", "from elsewhere", "somebody else's"])
    def test_when_the_newest_submit_is_no_proof(self, case: str) -> None:
        for stage in scenes(signed_in=True, has_store=False):
            run = restart()
            path = died_when_stopped(stage, run)
            key = "another/run/0" if case == "somebody else's" else run.key
            given = "/elsewhere" if case == "from elsewhere" else path
            a_submit(stage, {"airflow_run_key": key}, given, status=0 if case == "on its way" else 3)
            run.clear()

            assert stage.attempt(run) == "done", run.told
            assert resumed_from(stage) == path, "not as its own, but as the state that the last job has left"

    def test_when_somebody_else_has_stopped_the_job(self, signed_in: Scene) -> None:
        old = signed_in.running()
        run = restart()
        signed_in.at("/savepoint", lambda: CODE_5)
        assert signed_in.attempt(run) == "failed"
        assert signed_in.attempt(Run("cancel", STREAM, {"with_savepoint": True})) == "done"
        (path,) = signed_in.job(old.jid).savepoints
        signed_in.wait(30)
        run.clear()

        assert signed_in.attempt(run) == "done", run.told
        assert resumed_from(signed_in) == path


class TestWhatToLookAt:
    @pytest.mark.parametrize("has_store", [True, False], ids=["store", "no store"])
    def test_is_dinky_where_nobody_knows_the_path(self, has_store: bool) -> None:
        for stage in scenes(signed_in=False, has_store=has_store):
            stage.running()
            run = restart(if_no_state="fresh")
            stage.at("/savepoint", crash, after=True)
            assert stage.attempt(run) == "crashed"
            stage.wait(600)
            run.clear()

            assert stage.attempt(run) == "done", run.told
            assert "Look into the logs of its earlier tries" in run.told

    @pytest.mark.parametrize("is_kept", [True, False], ids=["store", "no store"])
    def test_is_asked_of_a_person_where_nobody_may_look(self, is_kept: bool) -> None:
        for stage in scenes(signed_in=False, has_store=is_kept):
            stage.running()
            run = restart()
            stage.at("/savepoint", crash, after=True)
            assert stage.attempt(run) == "crashed"
            stage.wait(600)
            run.clear()

            assert stage.attempt(run) == "failed", run.told
            assert len(stage.jobs) == 1
            assert "if_no_state='fresh'" in run.error


def test_what_cannot_be_read_any_more_does_not_keep_a_cleared_task_from_starting(scene: Scene) -> None:
    run = restart()
    path = died_when_stopped(scene, run)
    run.stored = dict.fromkeys(run.stored, "teleport")
    run.clear()

    assert scene.attempt(run) == "done", run.told
    assert "cannot be read" in run.told
    assert resumed_from(scene) == path, "as the state that the last job has left"
