# SPDX-License-Identifier: Apache-2.0
"""One Airflow task run is one Flink job, whatever dies in between: random interleavings against the sandbox."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.world import FAULTS, STREAM, Run, World

EXAMPLES = int(os.environ.get("DINKY_MODEL_EXAMPLES", "150"))
PROTECTED = st.sampled_from([(True, True), (True, False), (False, True)])
"""(signed in, task state store): without either nothing can be proved, and nothing is promised."""

UNREADABLE = frozenset({"html", "code 5"})
"""Faults that end a try at once, where others are waited out."""

SAID = (
    "starting without state:",
    "without its state",
    "resumed from a savepoint is not known",
    "the savepoint taken before it was stopped, if any, is not known here",
)
"""What is said, in small letters, of a restart that has lost the state, or may have."""

plans = st.dictionaries(st.integers(1, 24), st.sampled_from(FAULTS), max_size=3)


class NeverTwice(RuleBasedStateMachine):
    """Tries of one run of a task, with faults at any point, and a world that goes on meanwhile."""

    kind = "submit"

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @initialize(protected=PROTECTED, seed=st.integers(0, 5), failed_before=st.booleans())
    def begin(self, protected: tuple[bool, bool], seed: int, failed_before: bool) -> None:
        signed_in, has_store = protected
        self.world = World(signed_in=signed_in, has_store=has_store, seed=seed)
        self.signed_in, self.has_store = signed_in, has_store
        self.run = self.new_run()
        self.before = {job.jid for job in self.world.jobs}
        self.meddled = False
        self.told_before = ""
        if failed_before:
            self.an_earlier_try_failed()

    def an_earlier_try_failed(self) -> None:
        """What the history shows of the earlier try must not be taken for the submit of the next."""
        assert self.world.attempt(self.run) == "done"
        self.the_job_fails()
        self.meddled = False
        self.world.wait(15)

    def new_run(self) -> Run:
        return Run("submit", STREAM, {})

    @rule(plan=plans)
    def attempt(self, plan: dict[int, str]) -> None:
        if not self.has_store:
            # A mark that shows up late cannot be told from none where nothing was written down.
            plan = {point: fault for point, fault in plan.items() if fault != "late"}
        outcome = self.world.attempt(self.run, plan)
        # Where nothing was written down, a try that cannot read answers cannot know what an earlier one has done.
        is_blind = outcome == "failed" and not self.has_store and not UNREADABLE.isdisjoint(plan.values())
        if outcome == "crashed" or is_blind:
            return
        self.everything_is_named()
        if outcome == "done":
            self.no_state_is_silently_lost()
        if outcome == "failed":
            self.nothing_is_silently_down()

    @rule(seconds=st.sampled_from([0.5, 5, 40, 400]))
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(down_for=st.sampled_from([1.0, 20.0]))
    def dinky_restarts(self, down_for: float) -> None:
        self.world.do(self.world.core.restart(down_for))

    @rule()
    def the_cluster_goes_and_comes_back(self) -> None:
        self.world.core.kill_cluster()
        self.world.wait(20)
        self.world.core.revive_cluster()

    @rule()
    def the_job_fails(self) -> None:
        for job in self.world.active(self.run.dinky_task_id):
            self.world.core.kill_job(job.jid)
            self.meddled = True

    @rule(plan=plans)
    def another_task_cancels(self, plan: dict[int, str]) -> None:
        self.meddled = True
        self.world.attempt(Run("cancel", self.run.dinky_task_id, {}), plan)

    @precondition(lambda self: self.world is not None and self.run.tries > 0)
    @rule()
    def clear(self) -> None:
        self.told_before += self.run.told
        self.run.clear()

    @invariant()
    def at_most_one_active_job(self) -> None:
        if self.world is not None:
            active = self.world.active(self.run.dinky_task_id)
            assert len(active) <= 1, f"{len(active)} active jobs: {active}"

    def everything_is_named(self) -> None:
        told = f"{self.told_before} {self.run.told} {self.run.stored} {self.run.xcom}"
        for job in self.world.active(self.run.dinky_task_id):
            if job.jid in self.before:
                continue
            mark = job.variables.get("airflow_run_key", "")
            assert job.jid in told or self.instance_id(job) in told.lower() or (mark and mark in told), (
                f"nobody names {job}:\n{told}"
            )

    def instance_id(self, job: Any) -> str:
        instances = self.world.core.dinky.store.instances
        return next((f"job instance {i.id}" for i in instances.values() if i.jid == job.jid), "no instance")

    def nothing_is_silently_down(self) -> None:
        """Submit has nothing to lose."""

    def no_state_is_silently_lost(self) -> None:
        """Nor has it any state."""

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            self.world.wait(2_000)
            self.at_most_one_active_job()
            self.ends_well()
        finally:
            self.world.close()

    def ends_well(self) -> None:
        """Once the trouble is over, a retry gets there, or tells a person what to look at."""
        outcome = self.world.attempt(self.run)
        self.at_most_one_active_job()
        if outcome == "done":
            # A job that failed while Dinky had lost sight of it is followed until Dinky knows.
            jobs = self.world.active(self.run.dinky_task_id)
            assert self.meddled or jobs
            assert all(self.run.xcom["job_id"] == job.jid for job in jobs)
        else:
            assert any(
                remedy in self.run.told
                for remedy in ("Look into Dinky", "has an active job already", "lost sight")
            ), self.run.told


class NeverDown(NeverTwice):
    """The same for a restart: the job that ran before it runs after it, or the error says how to resume it."""

    def new_run(self) -> Run:
        earlier = Run("submit", STREAM, {})
        earlier.kind = "submit"
        assert self.world.attempt(earlier) == "done"
        self.world.wait(30)
        return Run("restart", STREAM, {})

    def an_earlier_try_failed(self) -> None:
        """Only the job that a restart is of runs yet."""

    @initialize(method=st.sampled_from(["steps", "endpoint"]))
    def by(self, method: str) -> None:
        self.method = method

    @rule(seconds=st.sampled_from([0.3, 15, 60]))
    def jobs_stop_slowly(self, seconds: float) -> None:
        self.world.core.slow_stop(seconds)

    @rule(on=st.booleans())
    def savepoints_fail(self, on: bool) -> None:
        self.world.core.fail_savepoints(on)

    @rule(plan=plans)
    def attempt(self, plan: dict[int, str]) -> None:
        self.run.parameters["method"] = self.method
        self.told_before += self.run.told
        self.run.told = ""
        super().attempt(plan)

    def nothing_is_silently_down(self) -> None:
        if self.meddled or self.world.active(self.run.dinky_task_id):
            return
        paths = [path for job in self.world.jobs for path in job.savepoints]
        told = self.run.told
        remedies = ["find it in Dinky", "Look into Dinky", "give savepoint_path"]
        if self.run.clears:
            # A clear forgets what the tries before have stopped: the task is found down, and that is said.
            remedies += ["does not run", "Give savepoint_path"]
        assert any(path in told for path in paths) or any(remedy in told for remedy in remedies), (
            f"the job is down, and nobody says so: {told}"
        )

    def no_state_is_silently_lost(self) -> None:
        """Also after a clear the job goes on from the savepoint taken for the restart, or the log says why not."""
        if self.meddled:
            return
        told = f"{self.told_before} {self.run.told}".lower()
        for job in self.world.active(self.run.dinky_task_id):
            if job.jid not in self.before and job.resumed_from is None:
                assert any(words in told for words in SAID), f"{job} has no state, and nobody says so: {told}"

    def ends_well(self) -> None:
        self.world.core.fail_savepoints(False)
        self.world.core.slow_stop(0.3)
        self.told_before += self.run.told
        self.run.told = ""
        outcome = self.world.attempt(self.run)
        self.at_most_one_active_job()
        if outcome == "done":
            self.no_state_is_silently_lost()
        else:
            self.nothing_is_silently_down()


# Shrinking takes minutes: ask for it when there is a counter-example to make small.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
if os.environ.get("DINKY_MODEL_SHRINK"):
    PHASES.append(Phase.shrink)
COMMON: dict[str, Any] = {
    # The same interleavings every time, so that a red run is about the change; DINKY_MODEL_RANDOM tries others.
    "derandomize": not os.environ.get("DINKY_MODEL_RANDOM"),
    "max_examples": EXAMPLES,
    "stateful_step_count": 12,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "phases": PHASES,
}
TestNeverTwice = pytest.mark.model(NeverTwice.TestCase)
TestNeverTwice.settings = settings(**COMMON)
TestNeverDown = pytest.mark.model(NeverDown.TestCase)
TestNeverDown.settings = settings(**COMMON)
