# SPDX-License-Identifier: Apache-2.0
"""Restarts in which something definite happens at a definite request."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from airflow_provider_dinky.client import wire
from airflow_provider_dinky.sandbox.faults import Fault
from airflow_provider_dinky.sandbox.java import JavaFailure, Refusal
from tests.model.scene import BAD_GATEWAY, CODE_5, HTML, Scene, restart, scene, signed_in
from tests.model.world import FAULTS, PAYMENTS, STREAM, Run

__all__ = ["scene", "signed_in"]

pytestmark = pytest.mark.model


class TestALookThatFails:
    """A read that fails says nothing of what was sent."""

    @pytest.mark.parametrize("reply", [HTML, CODE_5], ids=["html", "code 5"])
    @pytest.mark.parametrize("look", ["/getJobInstanceByTaskId", "/getJobInfoDetail"])
    def test_before_the_new_start_goes_back_to_nothing(
        self, signed_in: Scene, reply: wire.Reply, look: str
    ) -> None:
        old = signed_in.running()
        run = restart()
        signed_in.at("/savepoint", lambda: signed_in.at(look, lambda: reply), after=True)

        assert signed_in.attempt(run) == "failed"
        (path,) = signed_in.job(old.jid).savepoints
        assert path in run.error
        assert signed_in.active(STREAM) == []

        assert signed_in.attempt(run) == "done"
        (job,) = signed_in.active(STREAM)
        assert job.resumed_from == path

    @pytest.mark.parametrize("times", [1, 10_000], ids=["for a while", "for long"])
    @pytest.mark.parametrize("reply", [HTML, CODE_5], ids=["html", "code 5"])
    def test_for_a_lost_new_start_starts_no_second_job(
        self, signed_in: Scene, reply: wire.Reply, times: int
    ) -> None:
        old = signed_in.running()
        run = restart()

        def lose_it() -> wire.Reply:
            signed_in.at("/history/list", lambda: reply, times=times)
            return BAD_GATEWAY

        signed_in.at("/submitTask", lose_it, after=True)
        outcome = signed_in.attempt(run)
        signed_in.wait(30)

        assert len(signed_in.active(STREAM)) == 1
        assert outcome == "done" or signed_in.job(old.jid).savepoints[-1] in run.error
        signed_in.events.clear()
        assert signed_in.attempt(run) == "done"
        assert len(signed_in.jobs) == 2

    def test_for_a_new_start_that_left_no_trace_goes_back_to_nothing(self, signed_in: Scene) -> None:
        old = signed_in.running()
        run = restart()
        signed_in.at("/submitTask", lambda: BAD_GATEWAY)

        assert signed_in.attempt(run) == "failed"
        assert signed_in.job(old.jid).savepoints[-1] in run.error
        assert signed_in.sent("/submitTask") == 1, "it may still arrive, so nothing else is sent"

    @pytest.mark.parametrize("times", [3, 10_000], ids=["for a while", "for long"])
    def test_for_a_lost_stop_sends_no_second_one(self, signed_in: Scene, times: int) -> None:
        old = signed_in.running()
        run = restart()

        def lose_it() -> wire.Reply:
            signed_in.at("/listSavepointsByTaskId", lambda: HTML, times=times)
            return BAD_GATEWAY

        signed_in.at("/savepoint", lose_it, after=True)
        outcome = signed_in.attempt(run)
        if times > 3:
            assert outcome == "failed"
            assert "is not known" in run.error
            signed_in.events.clear()
            outcome = signed_in.attempt(run)

        assert outcome == "done"
        assert signed_in.sent("/savepoint") == 1
        (job,) = signed_in.active(STREAM)
        assert [job.resumed_from] == list(signed_in.job(old.jid).savepoints)


class TestWhoseSavepoint:
    def test_one_that_let_the_job_run_is_not_that_of_the_stop(self, signed_in: Scene) -> None:
        old = signed_in.running()
        run = restart()

        def somebody_takes_one() -> wire.Reply:
            signed_in.do(signed_in.core.dinky.savepoint(STREAM, "trigger"))
            return BAD_GATEWAY

        signed_in.at("/savepoint", somebody_takes_one)

        assert signed_in.attempt(run) == "done", run.told
        (job,) = signed_in.active(STREAM)
        theirs, ours = signed_in.job(old.jid).savepoints
        assert job.resumed_from == ours != theirs

    def test_a_job_that_runs_on_is_stopped_again_by_a_later_try(self, scene: Scene) -> None:
        old = scene.running()
        scene.core.slow_stop(20_000)
        run = restart()
        assert scene.attempt(run) == "failed"
        scene.wait(2_000)
        assert scene.attempt(run) == "failed"
        assert run.stored["dinky_0"]["step"] == "returned"
        first = scene.job(old.jid).savepoints[-1]
        assert first in run.error

        scene.wait(20_000)
        assert scene.attempt(run) == "done", run.told
        (job,) = scene.active(STREAM)
        assert job.resumed_from == first


class TestVariables:
    def test_of_a_job_older_than_many_submits_are_taken_over(self, signed_in: Scene) -> None:
        old = signed_in.running(PAYMENTS, variables={"region": "EU"})
        for _ in range(60):
            with suppress(Refusal, JavaFailure):
                signed_in.do(signed_in.core.dinky.submit(PAYMENTS, None, {}))
        run = Run("restart", PAYMENTS, {"method": "steps"})

        assert signed_in.attempt(run) == "done", run.told
        (job,) = signed_in.active(PAYMENTS)
        assert job.variables["region"] == "EU"
        assert job.resumed_from == signed_in.job(old.jid).savepoints[-1]

    def test_that_are_not_known_any_more_are_asked_for_before_anything_is_touched(
        self, signed_in: Scene
    ) -> None:
        signed_in.running(PAYMENTS, variables={"region": "EU"})
        instance = signed_in.core.dinky.store.newest(PAYMENTS)
        assert instance is not None
        gone = {"data": {"instance": {"id": instance.id, "status": "RUNNING"}, "history": None}, "code": 0}
        signed_in.at("/getJobInfoDetail", lambda: wire.Reply(200, json.dumps(gone).encode()))
        run = Run("restart", PAYMENTS, {})

        assert signed_in.attempt(run) == "failed"
        assert "give variables" in run.error
        assert "Nothing was touched" in run.error
        assert len(signed_in.active(PAYMENTS)) == 1
        assert signed_in.sent("/savepoint") == 0


class TestTheErrorNamesThePath:
    def test_whatever_fails_once_the_job_is_stopped(self) -> None:
        for fault in FAULTS:
            if fault.startswith("crash"):
                continue
            for point in range(1, 40):
                scene = Scene()
                try:
                    old = scene.running()
                    run = restart()
                    outcome = scene.attempt(run, {point: fault})
                    reached = scene.point >= point
                    scene.wait(600)
                    if outcome == "failed" and not scene.active(STREAM):
                        (path,) = scene.job(old.jid).savepoints
                        assert path in run.error, f"{fault} at point {point}: {run.error}"
                finally:
                    scene.close()
                if not reached:
                    break

    @pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "anonymous"])
    def test_a_job_that_has_ended_without_dinky_showing_it_is_not_called_untouched(
        self, is_signed_in: bool
    ) -> None:
        """A counter-example: an earlier try had stopped the job, and a clear forgot it."""
        scene = Scene(signed_in=is_signed_in)
        try:
            scene.running()

            def somebody_stops_it() -> None:
                scene.do(scene.core.dinky.savepoint(STREAM, "stop"))
                # It has ended in Flink then, and Dinky does not show it yet.
                scene.wait(3)

            scene.at("/savepoint", somebody_stops_it)
            run = restart()
            assert scene.attempt(run) == "failed"
            assert not scene.active(STREAM)
            assert "DOWN" in run.error or any(path in run.error for path in scene.jobs[0].savepoints)
            assert "was not touched" not in run.error
        finally:
            scene.close()

    def test_dinkys_own_restart_without_a_savepoint_fails_the_task(self, scene: Scene) -> None:
        scene.running()
        # A job that Dinky lost sight of counts as stopped: no savepoint, and a twin.
        scene.at("/restartTask", lambda: scene.core.set_status(1, "UNKNOWN"))
        run = restart(method="endpoint")

        assert scene.attempt(run) == "failed"
        assert "WITHOUT its state" in run.error
        _, twin = scene.active(STREAM)
        assert twin.resumed_from is None


class TestRollBack:
    """The new job fails as soon as it is there."""

    @staticmethod
    def kill_the_new_job(scene: Scene) -> None:
        def kill() -> None:
            scene.core.kill_job(scene.jobs[-1].jid)

        scene.at("/submitTask", kill, after=True)

    def test_puts_the_job_back(self, signed_in: Scene) -> None:
        old = signed_in.running()
        self.kill_the_new_job(signed_in)
        run = restart(wait_for="running")

        assert signed_in.attempt(run) == "failed"
        (path,) = signed_in.job(old.jid).savepoints
        assert "runs as before the restart" in run.error
        assert path in run.error
        (job,) = signed_in.active(STREAM)
        assert job.resumed_from == path

    @pytest.mark.parametrize("refused_twice", [False, True], ids=["once", "twice"])
    def test_is_not_what_the_next_try_was_to_do(self, signed_in: Scene, refused_twice: bool) -> None:
        """The job that runs as before was started by this run, too, and must not be taken for the restarted one."""
        signed_in.running()
        run = restart()
        for _ in range(1 + refused_twice):
            signed_in.at("/submitTask", lambda: CODE_5)
            assert signed_in.attempt(run) == "failed"
            assert "runs as before the restart" in run.error
            signed_in.wait(30)
        (back,) = signed_in.active(STREAM)

        assert signed_in.attempt(run) == "done", run.told
        (job,) = signed_in.active(STREAM)
        assert job.jid != back.jid
        assert [job.resumed_from] == list(signed_in.job(back.jid).savepoints)
        assert run.xcom["job_id"] == job.jid

    def test_a_second_way_back_that_is_under_way_is_not_taken_for_the_first(self, scene: Scene) -> None:
        scene.running()
        run = restart(savepoint_path="/no/such/savepoint")
        assert scene.attempt(run) == "failed"
        scene.wait(30)

        def is_slow_and_the_try_dies() -> None:
            scene.core.faults.add(Fault("latency", "/submitTask", seconds=20))
            scene.plan[scene.point + 1] = "crash during"

        # The second submit of this try is the way back.
        scene.at("/submitTask", lambda: scene.at("/submitTask", is_slow_and_the_try_dies))
        assert scene.attempt(run) == "crashed"
        assert scene.active(STREAM) == []
        scene.attempt(run)

        assert len(scene.active(STREAM)) == 1, run.told
        scene.wait(600)
        assert len(scene.active(STREAM)) == 1, run.told

    @pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "anonymous"])
    def test_a_way_back_that_is_under_way_is_waited_for(self, is_signed_in: bool) -> None:
        """The job that failed is newer than the old one, too, and must not be taken for the way back."""
        scene = Scene(signed_in=is_signed_in)
        try:
            scene.running()
            self.kill_the_new_job(scene)

            def is_slow_and_the_try_dies() -> None:
                scene.core.faults.add(Fault("latency", "/submitTask", seconds=20))
                scene.plan[scene.point + 1] = "crash during"

            scene.at("/submitTask", lambda: scene.at("/submitTask", is_slow_and_the_try_dies))
            run = restart(wait_for="running")
            assert scene.attempt(run) == "crashed"
            assert scene.active(STREAM) == []
            for _ in range(4):
                outcome = scene.attempt(run)
                assert len(scene.active(STREAM)) <= 1, run.told
                if outcome == "done":
                    break
            scene.wait(600)
            assert len(scene.active(STREAM)) == 1, run.told
        finally:
            scene.close()

    @pytest.mark.parametrize("has_store", [True, False], ids=["store", "no store"])
    @pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "late"])
    def test_under_a_fault_at_any_point(self, fault: str, has_store: bool) -> None:
        for point in range(1, 60):
            scene = Scene(has_store=has_store)
            try:
                old = scene.running()
                self.kill_the_new_job(scene)
                run = restart(wait_for="running")
                outcome = scene.attempt(run, {point: fault})
                if scene.point < point:
                    break
                for _ in range(4):
                    assert len(scene.active(STREAM)) <= 1, f"{fault} at point {point}"
                    if outcome == "done":
                        break
                    scene.wait(60)
                    outcome = scene.attempt(run)
                scene.wait(600)
                paths = [path for job in scene.jobs for path in job.savepoints]
                active = scene.active(STREAM)
                assert len(active) <= 1, f"{fault} at point {point}"
                if active:
                    assert active[0].jid == old.jid or active[0].resumed_from in paths, run.told
                else:
                    assert any(path in run.error for path in paths), f"{fault} at point {point}: {run.error}"
            finally:
                scene.close()
