# SPDX-License-Identifier: Apache-2.0
"""Stops with savepoint in which something definite happens at a definite request."""

from __future__ import annotations

import pytest

from tests.model.scene import HTML, Scene, crash, scene, scenes, signed_in
from tests.model.world import STREAM, Run

__all__ = ["scene", "signed_in"]

pytestmark = pytest.mark.model


class TestWithSavepoint:
    """The try dies at the stop."""

    @pytest.mark.parametrize("again", [1.0, 400.0], ids=["retried at once", "retried later"])
    def test_the_retry_tells_the_path(self, signed_in: Scene, again: float) -> None:
        old = signed_in.running()
        run = Run("cancel", STREAM, {"with_savepoint": True})
        signed_in.at("/savepoint", crash, after=True)

        assert signed_in.attempt(run) == "crashed"
        signed_in.wait(again)
        assert signed_in.attempt(run) == "done"
        (path,) = signed_in.job(old.jid).savepoints
        assert run.xcom["savepoint_path"] == path

    def test_one_that_never_arrived_is_sent_again(self, signed_in: Scene) -> None:
        old = signed_in.running()
        run = Run("cancel", STREAM, {"with_savepoint": True})
        signed_in.at("/savepoint", crash)

        assert signed_in.attempt(run) == "crashed"
        assert signed_in.attempt(run) == "done"
        (path,) = signed_in.job(old.jid).savepoints
        assert run.xcom["savepoint_path"] == path

    def test_a_path_that_nobody_knows_is_asked_for(self) -> None:
        for stage in scenes(signed_in=False, has_store=True):
            stage.running()
            run = Run("cancel", STREAM, {"with_savepoint": True})
            stage.at("/savepoint", crash, after=True)

            assert stage.attempt(run) == "crashed"
            stage.wait(60)
            assert stage.attempt(run) == "failed"
            assert "find it in Dinky" in run.error
            assert "savepoint_path" not in run.xcom

    def test_a_job_that_had_ended_before_is_none_of_its_business(self, scene: Scene) -> None:
        old = scene.running()
        scene.core.kill_job(old.jid)
        scene.wait(30)
        run = Run("cancel", STREAM, {"with_savepoint": True})
        scene.at("/getJobInstanceByTaskId", lambda: HTML)

        assert scene.attempt(run) == "failed"
        assert scene.attempt(run) == "done"
        assert "savepoint_path" not in run.xcom
