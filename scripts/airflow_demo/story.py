# SPDX-License-Identifier: Apache-2.0
"""What is run, in which order, and what has to come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_demo.local_airflow import LocalAirflow
from airflow_demo.watching import ENDED, TaskSeen, Watcher
from airflow_provider_dinky.sandbox import Sandbox

RUN_SECONDS = 180.0
"""In which every DAG has to be done once it was started."""
SETTLE_SECONDS = 60.0
"""In which everything that a run brings about has to show."""


@dataclass
class Stage:
    """Where the story plays: an Airflow, who watches it, and the Dinkys."""

    airflow: LocalAirflow
    watcher: Watcher
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)


@dataclass
class Scene:
    """One DAG run that is over."""

    stage: Stage
    run: dict[str, Any]
    tasks: dict[str, TaskSeen]

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """An XCom of one of its tasks."""
        return self.stage.airflow.api.xcom(self.tasks[task_id].info, key)

    def log(self, task_id: str) -> str:
        """The log of one of its tasks."""
        return self.stage.airflow.api.log(self.tasks[task_id].info)

    def failure(self, task_id: str) -> str:
        """With what one of its tasks has failed."""
        _, found, error = self.log(task_id).partition("Task failed with exception\n")
        return error.partition("\n::group::")[0] if found else "its log does not say why"


Check = Callable[[Scene], Iterator[str]]
"""Yields what is not as it should be."""


@dataclass(frozen=True)
class Step:
    """One DAG of the story.

    :param check: says what is wrong with the run once it is over.
    :param after: the DAGs that have to be done before.
    :param by_schedule: Airflow's scheduler makes the run as soon as the DAG is no longer paused.
    :param begin: is called when the DAG is no longer paused; brings about what the DAG waits for.
    :param ends: the state that its run has to end in.
    :param in_any_case: it is run even if something went wrong with those before.
    :param settled: whether what it brings about has shown; it is given some seconds after the run.
    """

    dag_id: str
    check: Check
    after: tuple[str, ...] = ()
    by_schedule: bool = False
    begin: Callable[[Stage], None] = lambda stage: None
    ends: str = "success"
    in_any_case: bool = False
    settled: Callable[[Scene], bool] = lambda scene: True


@dataclass
class Result:
    """How a step went; all is well if there are no problems."""

    step: Step
    problems: list[str]
    scene: Scene | None = None


class Player:
    """Plays steps: each as soon as those before it are done, side by side where they can be.

    :param run_seconds: in which every DAG has to be done once it was started.
    """

    def __init__(self, stage: Stage, steps: Sequence[Step], run_seconds: float = RUN_SECONDS) -> None:
        self._stage = stage
        self._run_seconds = run_seconds
        self._order = [step.dag_id for step in steps]
        self._waiting = list(steps)
        self._under_way: list[_Running] = []
        self._results: dict[str, Result] = {}

    def play(self) -> list[Result]:
        """Play them all; returns how each one went, in their order."""
        while self._waiting or self._under_way:
            self._stage.airflow.check_alive()
            if not self._begin_next():
                time.sleep(0.3)
            self._stage.watcher.look()
            runs = self._stage.airflow.api.runs()
            for running in list(self._under_way):
                result = running.result(runs)
                if result is not None:
                    self._under_way.remove(running)
                    self._stage.airflow.api.pause(running.step.dag_id)
                    self._results[running.step.dag_id] = result
        return [self._results[dag_id] for dag_id in self._order]

    def _begin_next(self) -> bool:
        for step in self._waiting:
            if not all(dag_id in self._results for dag_id in step.after):
                continue
            self._waiting.remove(step)
            broken = [dag_id for dag_id in step.after if self._results[dag_id].problems]
            if broken and not step.in_any_case:
                problem = f"not run, since {', '.join(broken)} went wrong"
                self._results[step.dag_id] = Result(step, [problem])
            else:
                self._under_way.append(_Running(self._stage, step, self._run_seconds))
            return True
        return False


class _Running:
    """A step that was begun."""

    def __init__(self, stage: Stage, step: Step, run_seconds: float) -> None:
        self.step = step
        self._stage = stage
        self._run_seconds = run_seconds
        self._began = time.monotonic()
        self._over: float | None = None
        stage.airflow.api.pause(step.dag_id, False)
        step.begin(stage)
        self._run_id = None if step.by_schedule else stage.airflow.api.trigger(step.dag_id)

    def result(self, runs: Sequence[dict[str, Any]]) -> Result | None:
        """How it went; None while it is under way."""
        scene = self._scene(runs)
        state = scene.run["state"] if scene else "not there"
        if scene is None or state not in ("success", "failed"):
            if time.monotonic() - self._began < self._run_seconds:
                return None
            return Result(self.step, [f"its run is {state} after {self._run_seconds:g} s"], scene)
        self._over = self._over or time.monotonic()
        told = all(task.state in ENDED for task in scene.tasks.values())
        if not (told and self.step.settled(scene)) and time.monotonic() - self._over < SETTLE_SECONDS:
            return None
        if state != self.step.ends:
            failures = [
                f"{name}: {scene.failure(name)}"
                for name, task in scene.tasks.items()
                if task.state == "failed"
            ]
            return Result(self.step, [f"its run is {state}, not {self.step.ends}", *failures], scene)
        return Result(self.step, list(self.step.check(scene)), scene)

    def _scene(self, runs: Sequence[dict[str, Any]]) -> Scene | None:
        mine = [run for run in runs if run["dag_id"] == self.step.dag_id]
        if self._run_id is None and mine:
            self._run_id = mine[-1]["dag_run_id"]
        run = next((run for run in mine if run["dag_run_id"] == self._run_id), None)
        if run is None:
            return None
        return Scene(self._stage, run, self._stage.watcher.run_of(self.step.dag_id, run["dag_run_id"]))
