# SPDX-License-Identifier: Apache-2.0
"""The example DAGs against two sandboxes, and what has to come of each."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_demo.story import Scene, Stage, Step
from airflow_provider_dinky.client.java import root_cause
from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sandbox.engine import JobRecord
from airflow_provider_dinky.sandbox.simulated import SimulatedEngine

CONNECTION, OTHER_CONNECTION = "dinky_default", "dinky_other"
STREAM, REPORT, BACKFILL, FAILING, CUSTOMERS, CHECKPOINTED = 1, 2, 3, 4, 6, 10
"""Ids of the sandbox's tasks that the example DAGs use."""


def _jobs(scene: Scene, dinky_task_id: int, connection: str = CONNECTION) -> list[JobRecord]:
    jobs = scene.stage.sandboxes[connection].engine.jobs
    return [job for job in jobs if job.task_id == dinky_task_id]


def _job(scene: Scene, task_id: str, connection: str = CONNECTION) -> JobRecord:
    jid = scene.xcom(task_id, "job_id")
    return next(job for job in scene.stage.sandboxes[connection].engine.jobs if job.jid == jid)


def _submit_and_wait(scene: Scene) -> Iterator[str]:
    jobs = _jobs(scene, REPORT)
    if [job.state for job in jobs] != ["FINISHED"]:
        yield f"Flink has {len(jobs)} jobs in states {[job.state for job in jobs]}, not one that FINISHED"
    if "deferred" not in scene.tasks["wait"].states:
        yield "the sensor was never deferred to the triggerer"
    if scene.xcom("wait") != scene.xcom("submit"):
        yield f"the sensor returned {scene.xcom('wait')}, the submit {scene.xcom('submit')}"


def _variables_and_templates(scene: Scene) -> Iterator[str]:
    day = scene.run["logical_date"][:10]
    jobs = _jobs(scene, BACKFILL)
    if [(job.state, job.variables.get("day")) for job in jobs] != [("FINISHED", day)]:
        yield f"not one FINISHED job for {day}: {[(job.state, dict(job.variables)) for job in jobs]}"
    if scene.run["run_type"] != "scheduled":
        yield f"the run was made by '{scene.run['run_type']}', not by the scheduler"
    if "deferred" in scene.tasks["backfill"].states:
        yield "the task was to wait on its worker, but was deferred"


def _keep_running(scene: Scene) -> Iterator[str]:
    active = [job for job in _jobs(scene, STREAM) if job.active]
    if len(active) != 1:
        yield f"{len(active)} jobs run, not one"


def _restart(scene: Scene) -> Iterator[str]:
    old, new = _jobs(scene, STREAM)[-2:]
    path = scene.xcom("restart", "savepoint_path")
    if new.jid != scene.xcom("restart", "job_id"):
        yield "the task follows another job than the new one"
    if not path or path not in old.savepoints:
        yield f"{path} is no savepoint of the old job, which has {old.savepoints}"
    if new.resumed_from != path:
        yield f"the new job was started from {new.resumed_from}, not from {path}"
    if old.ended is None or old.ended > new.started:
        yield "the old job still ran when the new one started"
    if not new.active:
        yield f"the new job is {new.state}"


def _restart_with_savepoint(scene: Scene) -> Iterator[str]:
    yield from _restart(scene)
    if scene.run["run_type"] != "scheduled":
        yield f"the run was made by '{scene.run['run_type']}', not by the scheduler"


def _savepoint_then_submit_elsewhere(scene: Scene) -> Iterator[str]:
    path = scene.xcom("savepoint")
    elsewhere = _job(scene, "submit", OTHER_CONNECTION)
    here = _jobs(scene, STREAM)[-1]
    if path not in here.savepoints:
        yield f"{path} is no savepoint of the job in production"
    if elsewhere.resumed_from != path or elsewhere.state != "RUNNING":
        yield f"the job elsewhere is {elsewhere.state} and was started from {elsewhere.resumed_from}, not {path}"
    if here.state != "RUNNING":
        yield f"the job in production is {here.state}"


def _is_cancelled(scene: Scene) -> bool:
    job = scene.tasks["cancel"].job
    return job is not None and job.is_final


def _cancel_at_end_of_day(scene: Scene) -> Iterator[str]:
    job = scene.tasks["cancel"].job
    if job is None or job.state != "CANCELED":
        yield f"Dinky says that the job is {job.state if job else 'not there'}, not CANCELED"
    active = [job.jid for job in _jobs(scene, STREAM) if job.active]
    if active:
        yield f"still active in Flink: {', '.join(active)}"


def _hook_in_a_task(scene: Scene) -> Iterator[str]:
    rows = _task(scene.stage.sandboxes[CONNECTION], CUSTOMERS).rows
    expected = sum(int(row["customers"]) for row in rows)
    if scene.xcom("count_customers") != expected:
        yield f"counted {scene.xcom('count_customers')} customers, not {expected}"
    if f"{expected} customers in all countries" not in scene.log("report"):
        yield "the log of the report does not say so"


def _failing_job(scene: Scene) -> Iterator[str]:
    reason = root_cause(_task(scene.stage.sandboxes[CONNECTION], FAILING).error)
    instance_id = scene.xcom("submit", "job_instance_id")
    wanted = f"Job instance {instance_id} of Dinky task {FAILING} is FAILED: {reason}"
    if wanted not in scene.log("submit"):
        yield f"the log does not say: {wanted}"


def _deploy_stream(scene: Scene) -> Iterator[str]:
    states = [job.state for job in _jobs(scene, CHECKPOINTED)]
    if states != ["RUNNING"]:
        yield f"Flink has jobs in states {states}, not one that is RUNNING"
    for said in ("The SQL of Dinky task", "First checkpoint of job instance"):
        if said not in scene.log("deploy"):
            yield f"the log does not say: {said} ..."


def _check_streams(scene: Scene) -> Iterator[str]:
    if "Its last checkpoint was complete" not in scene.log("is_well"):
        yield "the log does not say when the last checkpoint was completed"


def _break_the_stream(stage: Stage) -> None:
    sandbox = stage.sandboxes[CONNECTION]
    if isinstance(sandbox.engine, SimulatedEngine):
        (job,) = (job for job in sandbox.engine.jobs if job.active and job.task_id == CHECKPOINTED)
        sandbox.kill_job(job.jid, "java.io.IOException: The disk is full")
    else:
        # A real Flink cannot be asked to let one job fail.
        sandbox.lose_task_manager()


def _repair_stream(scene: Scene) -> Iterator[str]:
    jobs = _jobs(scene, CHECKPOINTED)
    broken, repaired = jobs[0], jobs[-1]
    if broken.state != "FAILED" or not repaired.active:
        yield f"Flink has jobs in states {[job.state for job in jobs]}, not FAILED and then RUNNING"
    if f"{broken.jid}/chk-" not in (repaired.resumed_from or ""):
        yield f"the job was started from {repaired.resumed_from}, no checkpoint of the one that failed"
    if scene.run["run_type"] != "asset_triggered":
        yield f"the run was made by '{scene.run['run_type']}', not by the event"


def _task(sandbox: Sandbox, dinky_task_id: int) -> TaskSpec:
    return next(task for task in sandbox.tasks if task.id == dinky_task_id)


STEPS = (
    Step("dinky_submit_and_wait", _submit_and_wait),
    Step("dinky_variables_and_templates", _variables_and_templates, by_schedule=True),
    Step("dinky_hook_in_a_task", _hook_in_a_task),
    Step("dinky_failing_job", _failing_job, ends="failed"),
    Step("dinky_keep_running", _keep_running, by_schedule=True),
    Step("dinky_restart_with_savepoint", _restart_with_savepoint, ("dinky_keep_running",), by_schedule=True),
    Step("dinky_restart_by_endpoint", _restart, ("dinky_restart_with_savepoint",)),
    Step(
        "dinky_savepoint_then_submit_elsewhere",
        _savepoint_then_submit_elsewhere,
        ("dinky_restart_by_endpoint",),
    ),
    Step("dinky_deploy_stream", _deploy_stream),
    Step("dinky_check_streams", _check_streams, ("dinky_deploy_stream",), by_schedule=True),
    Step(
        "dinky_cancel_at_end_of_day",
        _cancel_at_end_of_day,
        ("dinky_savepoint_then_submit_elsewhere",),
        by_schedule=True,
        settled=_is_cancelled,
    ),
    Step(
        "dinky_repair_stream",
        _repair_stream,
        ("dinky_check_streams", "dinky_cancel_at_end_of_day"),
        by_schedule=True,
        begin=_break_the_stream,
    ),
)
