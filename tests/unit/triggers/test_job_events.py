# SPDX-License-Identifier: Apache-2.0
"""Asset events of a sandbox's streams: each change is told once, to each who wants to know."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger
from tests.airflow_task import rebuilt
from tests.unit.triggers.events import (
    ALL,
    CHECKPOINTED,
    REPORT,
    STREAM,
    Start,
    checkpoints,
    is_watched,
    kill,
    settled,
    started,
    trigger,
)
from tests.unit.triggers.watching import AssetStore
from tests.unit.watcher.small_dinky import LIST, NEWEST, SIGN_IN, SmallDinky
from tests.unit.watcher.subscribers import until, watchers


class TestTransitions:
    async def test_a_job_that_fails(self, sandbox: Sandbox, conn_id: str, way: str, start: Start) -> None:
        job = await started()
        triggerer = start(way)
        triggerer.runs(trigger(dinky_conn_id=conn_id))
        await is_watched(sandbox)
        kill(sandbox)
        event = await triggerer.event()
        await triggerer.nothing_comes(0.5)

        flink = sandbox.engine.jobs[-1]
        signed_in = conn_id == "signed_in"
        since = datetime.fromisoformat(event.pop("since"))
        assert timedelta() <= datetime.now(timezone.utc) - since < timedelta(seconds=60)
        assert event == {
            "v": 1,
            "event": "FAILED",
            "event_id": f"{conn_id}/{STREAM}/{job}/FAILED",
            "dinky_conn_id": conn_id,
            "dinky_task_id": STREAM,
            "job_instance_id": job,
            "job_id": flink.jid,
            "status": "FAILED",
            "reason": "java.lang.IllegalStateException: no more disk"
            if signed_in
            else "reason not available: sign in to Dinky in connection 'anonymous'",
            "dinky_url": f"{sandbox.url}/#/devops/job-detail?id={job}",
            "flink_url": f"http://{sandbox.engine.address}/#/job/{flink.jid}/overview" if signed_in else None,
            "newest_savepoint": None,
            "newest_checkpoint": None,
        }

    async def test_what_it_can_be_resumed_from(self, sandbox: Sandbox, start: Start) -> None:
        await started(CHECKPOINTED)
        jid = sandbox.engine.jobs[-1].jid
        # Flink refuses a savepoint before all tasks run, which a checkpoint proves.
        await until(lambda: checkpoints(sandbox, jid))
        with DinkyHook("signed_in") as hook:
            savepoint = await asyncio.to_thread(hook.trigger_savepoint, CHECKPOINTED)
        triggerer = start()
        triggerer.runs(trigger(CHECKPOINTED))
        await is_watched(sandbox)
        kill(sandbox)
        event = await triggerer.event()

        assert event["newest_savepoint"] == savepoint.path
        assert f"/checkpoints/{jid}/chk-" in event["newest_checkpoint"]

    async def test_a_job_that_somebody_cancels(self, sandbox: Sandbox, conn_id: str, start: Start) -> None:
        job = await started()
        triggerer = start()
        triggerer.runs(trigger(dinky_conn_id=conn_id), AssetStore())
        await is_watched(sandbox)
        with DinkyHook("signed_in") as hook:
            await asyncio.to_thread(hook.cancel_task, STREAM)
        event = await triggerer.event()

        assert (event["event"], event["job_instance_id"], event["status"]) == ("CANCELED", job, "CANCELED")
        assert "cancelled, by somebody" in event["reason"]

    async def test_not_if_airflow_has_stopped_it(self, sandbox: Sandbox, start: Start) -> None:
        job = await started()
        triggerer, store = start(), AssetStore({f"dinky_stopped_{STREAM}": job})
        triggerer.runs(trigger(states=ALL, settle=0.1, down_after=0.1), store)
        await is_watched(sandbox)
        with DinkyHook("signed_in") as hook:
            await asyncio.to_thread(hook.cancel_task, STREAM)
        await asyncio.to_thread(settled, sandbox, "CANCELED")
        await triggerer.nothing_comes(0.7)

        again = await started()
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("RUNNING", again)

    async def test_a_restart_is_no_event(self, sandbox: Sandbox, conn_id: str, start: Start) -> None:
        await started()
        triggerer = start()
        triggerer.runs(trigger(dinky_conn_id=conn_id, states=ALL, settle=5.0, down_after=5.0))
        await is_watched(sandbox)
        with DinkyHook("signed_in") as hook:
            await asyncio.to_thread(hook.restart_task, STREAM)
        await asyncio.to_thread(settled, sandbox, "RUNNING")
        await triggerer.nothing_comes(0.5)

    async def test_a_cluster_that_is_gone_and_back(
        self, sandbox: Sandbox, conn_id: str, start: Start
    ) -> None:
        job = await started()
        triggerer = start()
        triggerer.runs(trigger(dinky_conn_id=conn_id, states=("UNKNOWN", "RUNNING"), unknown_timeout=0.5))
        await is_watched(sandbox)
        await asyncio.to_thread(sandbox.kill_cluster)
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("UNKNOWN", job)
        assert "may still be running" in event["reason"]

        await asyncio.to_thread(sandbox.revive_cluster)
        # Dinky has stopped looking by itself.
        await asyncio.to_thread(settled, sandbox, "RUNNING")
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("RUNNING", job)
        assert event["reason"].startswith("the task's job runs again; it was ")

    async def test_the_first_job_of_a_task_does_not_run_again(self, sandbox: Sandbox, start: Start) -> None:
        triggerer = start()
        triggerer.runs(trigger(states=("RUNNING",)))
        await is_watched(sandbox)
        job = await started()
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("RUNNING", job)
        assert event["reason"] == "the task's job runs; it never ran before"

    async def test_a_cluster_that_has_forgotten_the_job(
        self, sandbox: Sandbox, conn_id: str, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_dinky.jobs.gone.CONFIRM_AFTER", 0.1)
        job = await started()
        triggerer = start()
        triggerer.runs(trigger(dinky_conn_id=conn_id, states=("UNKNOWN",), unknown_timeout=3))
        await is_watched(sandbox)
        await asyncio.to_thread(sandbox.restart_cluster)
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("UNKNOWN", job)
        # Anonymous, and without Flink's REST API, nobody can be asked.
        assert event["gone"] is (conn_id == "signed_in")
        assert ("Flink does not know job" in event["reason"]) is event["gone"]

    async def test_a_job_that_is_done(self, sandbox: Sandbox, start: Start) -> None:
        triggerer = start()
        triggerer.runs(trigger(REPORT, states=("FINISHED", "DOWN"), down_after=2.0))
        await is_watched(sandbox)
        with DinkyHook("signed_in") as hook:
            job = (await asyncio.to_thread(hook.submit_task, REPORT)).job_instance_id
        events = [await triggerer.event(), await triggerer.event()]

        assert [event["event"] for event in events] == ["FINISHED", "DOWN"]
        assert f"its last one, job instance {job}, is FINISHED" in events[1]["reason"]

    async def test_a_task_that_never_ran(self, sandbox: Sandbox, conn_id: str, start: Start) -> None:
        triggerer = start()
        triggerer.runs(trigger(dinky_conn_id=conn_id, states=("DOWN", "RUNNING"), down_after=0.3))
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"], event["job_id"]) == ("DOWN", None, None)
        assert event["dinky_url"] is event["flink_url"] is event["status"] is None
        assert "has no job" in event["reason"]

        job = await started()
        event = await triggerer.event()
        assert (event["event"], event["job_instance_id"]) == ("RUNNING", job)

    async def test_secrets_are_masked(self, sandbox: Sandbox, start: Start) -> None:
        await started()
        triggerer = start()
        triggerer.runs(trigger())
        await is_watched(sandbox)
        kill(sandbox, "java.sql.SQLException: cannot connect WITH ('password' = 'hunter2')")
        reason = (await triggerer.event())["reason"]

        assert "cannot connect" in reason
        assert "hunter2" not in reason

    async def test_each_task_has_its_own_events(self, sandbox: Sandbox, way: str, start: Start) -> None:
        await started()
        job = await started(CHECKPOINTED)
        triggerer = start(way)
        for task in (STREAM, CHECKPOINTED):
            triggerer.runs(trigger(task))
        await is_watched(sandbox)
        kill(sandbox)
        event = await triggerer.event()
        assert (event["dinky_task_id"], event["job_instance_id"]) == (CHECKPOINTED, job)
        await triggerer.nothing_comes(0.3)


async def test_many_triggers_share_one_poll(dinky: SmallDinky, way: str, start: Start) -> None:
    tasks = range(1, 31)
    dinky.newest = {task: 100 + task for task in tasks}
    triggerer = start(way)
    for task in tasks:
        triggerer.runs(trigger(task, dinky_conn_id="counted", poll_interval=0.5))
    await until(lambda: dinky.count(LIST))
    dinky.forget_what_was_asked()
    began = asyncio.get_running_loop().time()
    await until(lambda: dinky.count(LIST) >= 4)
    took = asyncio.get_running_loop().time() - began

    assert dinky.count(NEWEST) == dinky.count(SIGN_IN) == 0
    assert dinky.count(LIST) <= 2.2 * took / 0.5 + 2
    assert dinky.most_connections <= 3


async def test_two_triggers_of_one_task_and_one_that_leaves(sandbox: Sandbox, way: str, start: Start) -> None:
    await started()
    triggerer, other = start(way), start(way)
    triggerer.runs(trigger())
    triggerer.runs(trigger(states=("FAILED", "DOWN"), down_after=60))
    other.runs(trigger(settle=7))
    await is_watched(sandbox)
    await other.stops()
    kill(sandbox)
    assert (await triggerer.event())["event_id"] == (await triggerer.event())["event_id"]
    assert other.told == []


async def test_airflow_s_own_shared_streams(sandbox: Sandbox, start: Start) -> None:
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream")
    manager = shared_stream.SharedStreamManager()
    await started()
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def run(number: int, watch: JobStatusEventTrigger) -> None:
        key = watch.shared_stream_key()
        stream = manager.subscribe(trigger_id=number, trigger=watch, key=key)
        try:
            async for event in watch.filter_shared_stream(stream):
                events.put_nowait(event.payload)
        finally:
            await manager.unsubscribe(number, key)
            await watch.cleanup()

    tasks = [asyncio.create_task(run(n, rebuilt(trigger(n)))) for n in (STREAM, CHECKPOINTED)]
    await is_watched(sandbox)
    assert len(manager._groups) == 1
    kill(sandbox)
    assert (await asyncio.wait_for(events.get(), 10))["dinky_task_id"] == STREAM
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert manager._groups == {}


async def test_nothing_is_left_behind(sandbox: Sandbox, conn_id: str, way: str, start: Start) -> None:
    before = asyncio.all_tasks()
    await started()
    triggerer = start(way)
    for task in (STREAM, REPORT, CHECKPOINTED):
        triggerer.runs(trigger(task, dinky_conn_id=conn_id))
    await is_watched(sandbox)
    kill(sandbox)
    await triggerer.event()
    await triggerer.stops()

    assert not watchers()
    await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


def test_is_made_anew_from_json() -> None:
    original = trigger(
        7,
        states=["FAILED", "DOWN"],
        settle=timedelta(minutes=1),
        unknown_timeout=5,
        down_after=6,
        job_manager_address="flink:8081",
    )
    path, kwargs = original.serialize()

    assert path == "airflow_provider_dinky.triggers.job_events.JobStatusEventTrigger"
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert rebuilt(original).serialize() == (path, kwargs)
    assert kwargs["settle"] == 60.0
    assert not {"task_id", "task_instance", "task", "trigger_id"} & set(kwargs)
    assert set(vars(original)) >= {"dinky_task_id", "states"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"states": ("FAILD",)}, "states must be one of 'FAILED'"),
        ({"states": "failed"}, "states must be one of"),
        ({"states": ()}, "states must name at least one"),
        ({"poll_interval": 0}, "poll_interval must be a number of seconds above 0"),
        ({"settle": -1}, "settle must be"),
        ({"dinky_task_id": "7"}, "dinky_task_id must be Dinky's id"),
        ({"dinky_task_id": True}, "dinky_task_id must be Dinky's id"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_where_the_dag_is_written(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JobStatusEventTrigger(**{"dinky_task_id": 7, **wrong})


def test_one_state_may_stand_alone() -> None:
    assert JobStatusEventTrigger(7, states="DOWN").states == ["DOWN"]


def test_is_a_trigger_for_asset_watchers() -> None:
    base = pytest.importorskip("airflow.triggers.base")
    assert issubclass(JobStatusEventTrigger, getattr(base, "BaseEventTrigger", base.BaseTrigger))


def test_a_dag_file_with_it_loads_no_http_library() -> None:
    code = (
        "import sys, airflow.triggers.base; before = set(sys.modules)\n"
        "from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger\n"
        "JobStatusEventTrigger(7).serialize()\n"
        "print(sorted({'aiohttp', 'requests', 'yarl', 'airflow_provider_dinky.client.models'}"
        " & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.split("\n")[-2] == "[]"
