# SPDX-License-Identifier: Apache-2.0
"""One run of an Airflow task in a world where things die, and what the engine's own record says of it afterwards."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.blocking import DinkyClient
from airflow_provider_dinky.sandbox.engine import JobRecord
from benchmarks.chaos_world import ACTING, SETTLED, HttpWorld, Variant, jobs_in_words
from tests.model.world import FAULTS, Run

Outcome = Literal["done", "failed", "crashed"]

VARIABLES: Mapping[int, dict[str, str]] = {1: {}, 2: {}, 3: {"day": "2026-11-22"}, 7: {"region": "EU"}}
"""The sandbox's tasks that take part, with what they need: 1 and 7 run for ever, 2 and 3 end by themselves."""
STREAMS, BOUNDED = (1, 7), (2, 3)
REMEDIES = ("find it in Dinky", "Look into Dinky", "give savepoint_path")
"""What an error says that cannot name the path itself."""
STATELESS = ("WITHOUT its state", "Whether the job resumed from a savepoint is not known")
"""What an error or a warning says of a job that came back, or may have, without its state."""
POINTS = range(1, 16)


@dataclass(frozen=True)
class Try:
    """One try: what goes wrong in it, whether Airflow hears of its end, and what happens until the next one."""

    plan: Mapping[int, str]
    noted: bool
    then: str
    pause: float


@dataclass(frozen=True)
class Scenario:
    """What one run goes through before its last try, in which nothing goes wrong."""

    number: int
    kind: Literal["submit", "restart"]
    dinky_task_id: int
    parameters: Mapping[str, Any]
    has_past: bool
    savepoints_fail: bool
    slow_stop: float
    tries: tuple[Try, ...]


@dataclass
class Tally:
    """What became of the runs, by the engine's record of jobs.

    :ivar submitted: jobs that were started.
    :ivar duplicates: jobs started while another one of the task was active, or to do once more what was done.
    :ivar lost: jobs that neither the log nor XCom nor the task state store names.
    :ivar left_down: restarts after which nothing runs, and the error says neither a path nor where to find one.
    :ivar stateless: restarts that are done, but of a job that did not go on where the one before had stopped.
    :ivar done: runs that succeeded; the others ended with an error that a person has to read.
    """

    runs: int = 0
    submitted: int = 0
    duplicates: int = 0
    lost: int = 0
    left_down: int = 0
    stateless: int = 0
    done: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def harm(self) -> int:
        """How often something happened that must not."""
        return self.duplicates + self.lost + self.left_down + self.stateless

    def add(self, other: Tally) -> None:
        """Count another one's runs, too."""
        for name in ("runs", "submitted", "duplicates", "lost", "left_down", "stateless", "done"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.findings += other.findings

    def __str__(self) -> str:
        return (
            f"runs={self.runs} submitted={self.submitted} duplicates={self.duplicates} lost={self.lost} "
            f"left_down={self.left_down} stateless={self.stateless} done={self.done}"
        )


def draw(seed: int, number: int, variant: Variant) -> Scenario:
    """The run of that number: the same for every variant, but for what a variant cannot do."""
    chance = random.Random(f"{seed}/{number}")
    kind: Literal["submit", "restart"] = chance.choice(("submit", "restart"))
    task = chance.choice((*STREAMS, *BOUNDED) if kind == "submit" else STREAMS)
    method = chance.choice(("steps", "endpoint"))
    bad_path, gives_variables = chance.random() < 0.1, chance.random() < 0.5
    tries = tuple(_draw_try(chance) for _ in range(chance.randint(1, 4)))
    savepoints_fail, slow_stop = chance.random() < 0.1, chance.choice((0.3, 0.3, 15.0, 40.0, 100.0))
    stop_timeout = chance.choice((20.0, 180.0))
    parameters: dict[str, Any] = {}
    if VARIABLES[task] and (kind == "submit" or gives_variables or not variant.signed_in):
        parameters["variables"] = VARIABLES[task]
    if kind == "restart":
        parameters["method"] = "steps" if VARIABLES[task] else method
        parameters["stop_timeout"] = stop_timeout
    if kind == "restart" and bad_path:
        parameters["savepoint_path"] = "file:/nowhere/savepoint"
    return Scenario(number, kind, task, parameters, chance.random() < 0.5, savepoints_fail, slow_stop, tries)


def _draw_try(chance: random.Random) -> Try:
    plan = {chance.choice(POINTS): chance.choice(FAULTS) for _ in range(chance.randint(0, 2))}
    if chance.random() < 0.5:
        plan[ACTING] = chance.choice(FAULTS)
    then = chance.choice(("nothing", "nothing", "nothing", "Dinky restarts", "the cluster is away"))
    return Try(plan, chance.random() < 0.8, then, chance.choice((0.5, 5.0, 40.0)))


def play(scenario: Scenario, variant: Variant, *, speed: float, seed: int) -> Tally:
    """Let one run go through its scenario, and count."""
    world = HttpWorld(variant, speed=speed, seed=seed * 100_000 + scenario.number)
    try:
        before = _past(world, scenario)
        world.sandbox.fail_savepoints(scenario.savepoints_fail)
        world.sandbox.slow_stop(scenario.slow_stop)
        operator = scenario.kind
        run = Run(operator, scenario.dinky_task_id, dict(scenario.parameters))
        history, outcome = _try_until_over(world, scenario, run)
        tally = _count(world, scenario, run, before, outcome)
        if tally.harm:
            tally.findings.append(
                f"{variant.name}: run {scenario.number} (seed {seed}): {tally}\n{scenario}\n"
                + "\n".join(history)
                + f"\nengine:\n{jobs_in_words(world)}\nstore: {run.stored}\nxcom: {run.xcom}\ntold: {run.told}"
            )
        return tally
    finally:
        world.close()


def _past(world: HttpWorld, scenario: Scenario) -> frozenset[str]:
    """The job that a restart is about, or one that has ended long ago."""
    if scenario.kind == "submit" and not scenario.has_past:
        return frozenset()
    clean = {"variables": VARIABLES[scenario.dinky_task_id]} if VARIABLES[scenario.dinky_task_id] else {}
    outcome = world.attempt(Run("submit", scenario.dinky_task_id, dict(clean), run_id="run0"))
    assert outcome == "done", "the sandbox does not start a job"
    world.wait(12)
    if scenario.kind == "submit":
        for job in world.sandbox.engine.jobs:
            world.sandbox.finish_job(job.jid)
        world.wait(12)
    return frozenset(job.jid for job in world.sandbox.engine.jobs)


def _try_until_over(world: HttpWorld, scenario: Scenario, run: Run) -> tuple[list[str], Outcome]:
    history = []
    for one in scenario.tries:
        outcome = world.attempt(run, one.plan)
        history.append(f"try with {dict(one.plan)}: {outcome}; {run.error.splitlines()[:1]}")
        if outcome == "done" and one.noted:
            world.wait(SETTLED)
            return history, outcome
        _meanwhile(world, one.then)
        world.wait(one.pause)
    world.wait(SETTLED)
    world.sandbox.fail_savepoints(False)
    world.sandbox.slow_stop(0.3)
    outcome = world.attempt(run)
    history.append(f"last try: {outcome}; {run.error}")
    world.wait(5)
    return history, outcome


def _meanwhile(world: HttpWorld, event: str) -> None:
    if event == "Dinky restarts":
        world.sandbox.restart(5)
    elif event == "the cluster is away":
        world.sandbox.kill_cluster()
        world.wait(20)
        world.sandbox.revive_cluster()


def _count(world: HttpWorld, scenario: Scenario, run: Run, before: frozenset[str], outcome: Outcome) -> Tally:
    jobs = [job for job in world.sandbox.engine.jobs if job.task_id == run.dinky_task_id]
    started = [job for job in jobs if job.jid not in before]
    active = [job for job in jobs if job.active]
    named = f"{run.told} {json.dumps(run.stored)} {json.dumps(run.xcom)}"
    tally = Tally(runs=1, submitted=len(started), done=int(outcome == "done"))
    tally.duplicates = sum(_is_duplicate(job, jobs, started) for job in started)
    tally.lost = sum(
        not _names(world, job, named, run.error)
        for job in started
        if job.active or run.dinky_task_id in BOUNDED
    )
    if scenario.kind == "restart":
        paths = [path for job in jobs for path in job.savepoints]
        tally.left_down = int(not active and not any(hint in run.error for hint in (*paths, *REMEDIES)))
        if outcome == "done" and not any(words in run.told for words in STATELESS):
            tally.stateless = sum(not _goes_on(job, jobs, run) for job in active)
    return tally


def _is_duplicate(job: JobRecord, jobs: Iterable[JobRecord], started: Iterable[JobRecord]) -> bool:
    beside = any(
        other.started <= job.started and (other.ended is None or other.ended > job.started)
        for other in jobs
        if other.jid != job.jid
    )
    once_more = job.task_id in BOUNDED and any(
        other.state == "FINISHED" and other.ended is not None and other.ended <= job.started
        for other in started
    )
    return beside or once_more


def _names(world: HttpWorld, job: JobRecord, named: str, error: str) -> bool:
    mark = job.variables.get("airflow_run_key")
    if job.jid in named or (mark and mark in error):
        return True
    with DinkyClient(world.config, sleep=world.wait) as client:
        newest = client.send(calls.get_latest_job_instance(job.task_id))
    return (
        newest is not None
        and newest.job_id == job.jid
        and re.search(rf"job instance {newest.id}\b", named, re.IGNORECASE) is not None
    )


def _goes_on(job: JobRecord, jobs: Iterable[JobRecord], run: Run) -> bool:
    earlier = [other for other in jobs if other.started < job.started]
    if not earlier or job.resumed_from == run.parameters.get("savepoint_path", ""):
        return True
    return job.resumed_from in earlier[-1].savepoints
