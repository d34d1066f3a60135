# SPDX-License-Identifier: Apache-2.0
"""Two runs that start or restart the same Dinky task at the same time."""

from __future__ import annotations

from functools import partial

import pytest

from tests.model.scene import Scene, crash, restart, scenes, signed_in
from tests.model.world import STREAM, Run

__all__ = ["signed_in"]

pytestmark = pytest.mark.model


class TestTwoAtOnce:
    """Two runs that restart the same Dinky task at the same time."""

    @staticmethod
    def other(scene: Scene, run: Run, expected: str = "done") -> None:
        assert scene.attempt(run) == expected, run.told

    def test_of_a_task_that_does_not_run(self, signed_in: Scene) -> None:
        mine, theirs = restart(), restart("other")
        signed_in.at("/submitTask", partial(self.other, signed_in, theirs))

        assert signed_in.attempt(mine) == "failed"
        signed_in.wait(30)
        (job,) = signed_in.active(STREAM)
        assert theirs.xcom["job_id"] == job.jid
        assert "beside job instance 1" in mine.error

    def test_and_the_later_one_dies_before_it_looks_for_the_other(self, signed_in: Scene) -> None:
        mine, theirs = restart(), restart("other")
        self.dies_beside(signed_in, mine, theirs)

    def test_the_same_of_a_submit(self, signed_in: Scene) -> None:
        self.dies_beside(signed_in, Run("submit", STREAM, {}), Run("submit", STREAM, {}, run_id="other"))

    def dies_beside(self, scene: Scene, mine: Run, theirs: Run) -> None:
        def slip_in() -> None:
            self.other(scene, theirs)
            # From here on, so that it is not the other one that dies.
            scene.at("/submitTask", lambda: scene.at("/api/jobInstance", crash), after=True)

        scene.at("/submitTask", slip_in)

        assert scene.attempt(mine) == "crashed"
        assert len(scene.active(STREAM)) == 2
        assert scene.attempt(mine) == "failed"
        scene.wait(30)
        (job,) = scene.active(STREAM)
        assert theirs.xcom["job_id"] == job.jid

    @pytest.mark.parametrize("kind", ["submit", "restart"])
    def test_and_a_third_one_behind_them(self, signed_in: Scene, kind: str) -> None:
        """Dinky stops only the newest job, which is the third one's."""
        mine, theirs = Run(kind, STREAM, {}), Run(kind, STREAM, {}, run_id="other")
        third = Run("submit", STREAM, {"if_running": "submit"}, run_id="third")

        def slip_in() -> None:
            self.other(signed_in, theirs)
            signed_in.at("/submitTask", behind, after=True)

        def behind() -> None:
            signed_in.at("/api/jobInstance", partial(self.other, signed_in, third))

        signed_in.at("/submitTask", slip_in)

        assert signed_in.attempt(mine) == "failed"
        assert "Flink was asked to cancel" in mine.error
        signed_in.wait(30)
        left = {job.jid for job in signed_in.active(STREAM)}
        assert left == {theirs.xcom["job_id"], third.xcom["job_id"]}

    def gives_way_and_dies(self, scene: Scene, mine: Run, theirs: Run) -> None:
        scene.at("/submitTask", partial(self.other, scene, theirs))
        scene.at("/cancel", crash, after=True)

        assert scene.attempt(mine) == "crashed"
        scene.wait(30)
        assert len(scene.active(STREAM)) == 1

    @pytest.mark.parametrize("kind", ["submit", "restart"])
    def test_and_the_later_one_dies_when_it_has_given_way(self, signed_in: Scene, kind: str) -> None:
        mine, theirs = Run(kind, STREAM, {}), Run(kind, STREAM, {}, run_id="other")
        self.gives_way_and_dies(signed_in, mine, theirs)

        for _ in range(2):
            assert signed_in.attempt(mine) == "failed"
            assert "job instance 1" in mine.error
            signed_in.wait(30)
            (job,) = signed_in.active(STREAM)
            assert theirs.xcom["job_id"] == job.jid
        assert signed_in.sent("/submitTask") == 2

    def test_and_the_later_one_has_given_way_and_is_cleared_or_run_again(self, signed_in: Scene) -> None:
        """Dinky shows the later one, which has ended, as the task's job; the one that runs must not be overlooked."""
        mine, theirs = Run("submit", STREAM, {}), Run("submit", STREAM, {}, run_id="other")
        self.gives_way_and_dies(signed_in, mine, theirs)
        mine.clear()

        for run in (mine, Run("submit", STREAM, {}, run_id="tomorrow"), restart("tomorrow")):
            assert signed_in.attempt(run) == "failed"
            assert "job instance 1" in run.error
            assert "Nothing was" in run.error
        assert signed_in.sent("/submitTask") == 2
        attached = Run("submit", STREAM, {"if_running": "attach"}, run_id="attached")
        assert signed_in.attempt(attached) == "done"
        assert attached.xcom["job_id"] == theirs.xcom["job_id"]

    def test_and_the_later_one_starts_anew_when_the_other_has_ended(self, signed_in: Scene) -> None:
        mine, theirs = Run("submit", STREAM, {}), Run("submit", STREAM, {}, run_id="other")
        self.gives_way_and_dies(signed_in, mine, theirs)
        # Dinky is known to leave RUNNING behind until it is made to look.
        signed_in.core.dinky.store.instances[1].held = True
        signed_in.core.kill_job(theirs.xcom["job_id"])

        assert signed_in.attempt(mine) == "done"
        (job,) = signed_in.active(STREAM)
        assert mine.xcom["job_id"] == job.jid

    @pytest.mark.parametrize(("state", "after"), [("RECONNECTING", 15), ("UNKNOWN", 90)])
    def test_one_that_went_with_its_cluster_keeps_nobody_from_starting(
        self, signed_in: Scene, state: str, after: float
    ) -> None:
        signed_in.running()
        signed_in.core.kill_cluster()
        signed_in.core.revive_cluster(jobs_survive=False)
        signed_in.wait(after)
        store = signed_in.core.dinky.store
        later = store.add_history(signed_in.core.dinky.task(STREAM), {}, None, signed_in.now())
        store.add_instance(later, "0" * 32, signed_in.now()).status = "FINISHED"
        assert store.instances[1].status == state

        tomorrow = Run("submit", STREAM, {}, run_id="tomorrow")
        assert signed_in.attempt(tomorrow) == "done", tomorrow.told
        (job,) = signed_in.active(STREAM)
        assert tomorrow.xcom["job_id"] == job.jid

    def test_of_a_running_job_before_the_stop(self, signed_in: Scene) -> None:
        signed_in.running()
        mine, theirs = restart(check_sql=True), restart("other")
        signed_in.at("/explainSql", partial(self.other, signed_in, theirs))

        assert signed_in.attempt(mine) == "failed"
        assert "has taken the place" in mine.error
        (job,) = signed_in.active(STREAM)
        assert theirs.xcom["job_id"] == job.jid

    @pytest.mark.parametrize("variant", [True, False], ids=["signed in", "anonymous"])
    def test_when_the_stop_hits_the_job_of_the_other(self, variant: bool) -> None:
        for stage in scenes(signed_in=variant, has_store=True):
            old = stage.running()
            mine, theirs = restart(), restart("other")

            def slip_in(stage: Scene = stage, theirs: Run = theirs) -> None:
                self.other(stage, theirs)
                stage.wait(30)
                stage.core.slow_stop(60)

            stage.at("/savepoint", slip_in)

            assert stage.attempt(mine) == "done", mine.told
            stage.wait(30)
            (job,) = stage.active(STREAM)
            assert mine.xcom["job_id"] == job.jid
            between = stage.job(theirs.xcom["job_id"])
            assert job.resumed_from == between.savepoints[-1]
            assert between.resumed_from == stage.job(old.jid).savepoints[-1]

    def test_when_the_other_starts_between_stop_and_start(self, signed_in: Scene) -> None:
        old = signed_in.running()
        mine, theirs = restart(), Run("submit", STREAM, {}, run_id="other")

        def slip_in() -> None:
            signed_in.wait(30)
            self.other(signed_in, theirs)

        signed_in.at("/savepoint", slip_in, after=True)

        assert signed_in.attempt(mine) == "failed"
        assert signed_in.job(old.jid).savepoints[-1] in mine.error
        (job,) = signed_in.active(STREAM)
        assert theirs.xcom["job_id"] == job.jid
