# SPDX-License-Identifier: Apache-2.0
"""Where to resume from: the newest state that is there, and never one that is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyNotFoundError
from airflow_provider_dinky.client.models import JobInstance, Savepoint
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.flink_view import Checkpoint, FlinkView
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.resume_paths import on_disk, same_place
from airflow_provider_dinky.resume_points import KnownState, choose, resolve
from airflow_provider_dinky.sandbox import Sandbox
from airflow_provider_dinky.sandbox.tasks import TaskSpec
from tests.sandboxed import sandbox
from tests.unit.streams import CHECKPOINTED, STREAM, reaches, running, until

__all__ = ["sandbox"]

JOB, EARLIER = "aaaaaa11", "bbbbbb22"
STATES = ("RUNNING", "FAILED", "CANCELED", "FINISHED")
KEEPS = {
    "none": {"RUNNING"},
    "on_failure": {"RUNNING", "FAILED"},
    "on_cancellation": {"RUNNING", "FAILED", "CANCELED"},
}


def unseen(path: str) -> bool | None:
    return None


def chk(number: int, **fields: Any) -> Checkpoint:
    return Checkpoint(
        **{
            "path": f"s3://c/{JOB}/chk-{number}",
            "is_savepoint": False,
            "completed_at": 1000 + number,
            "discarded": False,
            "number": number,
            **fields,
        }
    )


def sp(number: int, **fields: Any) -> Checkpoint:
    return chk(number, **{"path": f"s3://s/savepoint-{JOB[:6]}-{number}", "is_savepoint": True, **fields})


def view(*checkpoints: Checkpoint, **fields: Any) -> FlinkView:
    values: dict[str, Any] = {
        "job_id": JOB,
        "state": "FAILED",
        "now": 9999,
        "checkpoints": tuple(sorted(checkpoints, key=lambda one: -one.number)),
        "restored_from": None,
        "checkpointing": True,
        "retention": "on_cancellation",
        "failures": (),
        "failures_truncated": False,
        "source": "Flink",
        **fields,
    }
    return FlinkView(**values)


def job(status: str = "FAILED") -> JobInstance:
    return JobInstance(id=12, jid=JOB, status=status)


def listed(*paths: str, ended_with: str | None = None) -> list[Savepoint]:
    """What Dinky lists, newest first."""
    return [
        Savepoint(id=len(paths) - at, path=path, type="stop" if path == ended_with else "trigger")
        for at, path in enumerate(paths)
    ]


def chosen(
    of: JobInstance | None, flink: FlinkView | None, savepoints: Sequence[Savepoint] = (), **options: Any
) -> KnownState:
    return choose(of, flink, savepoints, **{"exists": unseen, **options})


def newest(*args: Any, **options: Any) -> str | None:
    found = chosen(*args, **options).newest
    return found.path if found else None


@dataclass
class History:
    """What really happened: the snapshots of the last job in order, and who knows of which."""

    kinds: list[bool]
    state: str
    retention: str
    earlier: int
    through_dinky: list[bool]
    stop_is_listed: bool

    @property
    def snapshots(self) -> list[Checkpoint]:
        return [
            sp(number) if is_savepoint else chk(number)
            for number, is_savepoint in enumerate(self.kinds, start=1)
        ]

    @property
    def truth(self) -> str | None:
        """The newest state that is there."""
        own = [one.number for one in self.snapshots if not one.is_savepoint]
        keeps = self.state in KEEPS[self.retention]
        there = [
            one.path for one in self.snapshots if one.is_savepoint or (keeps and one.number in own[-1:])
        ] or [f"s3://s/savepoint-{EARLIER[:6]}-{number}" for number in range(self.earlier)]
        return there[-1] if there else None

    def choose(self) -> KnownState:
        tried = self.snapshots
        stopped = self.state in ("FINISHED", "CANCELED") and bool(tried) and tried[-1].is_savepoint
        seen = tried[:-1] if stopped and not self.stop_is_listed else tried
        # Flink lists ten, and the newest of each kind.
        kept = {id(one): one for one in seen[-10:]}
        for is_savepoint in (True, False):
            kept |= {id(one): one for one in [s for s in seen if s.is_savepoint == is_savepoint][-1:]}
        own = [
            one
            for one, known in zip(tried, self.through_dinky, strict=True)
            if one.is_savepoint and (known or (one is tried[-1] and one not in seen))
        ]
        paths = [f"s3://s/savepoint-{EARLIER[:6]}-{number}" for number in range(self.earlier)]
        paths += [str(one.path) for one in own]
        flink = view(*kept.values(), state=self.state, retention=self.retention)
        ended_with = str(tried[-1].path) if stopped else None
        return chosen(job(self.state), flink, listed(*reversed(paths), ended_with=ended_with))


@st.composite
def histories(draw: st.DrawFn) -> History:
    kinds = draw(st.lists(st.booleans(), max_size=14))
    return History(
        kinds,
        draw(st.sampled_from(STATES)),
        draw(st.sampled_from(sorted(KEEPS))),
        draw(st.integers(0, 2)),
        [draw(st.booleans()) for _ in kinds],
        draw(st.booleans()),
    )


class TestChoice:
    @given(histories())
    def test_it_is_the_newest_state_that_is_there(self, history: History) -> None:
        known = history.choose()
        assert (known.newest.path if known.newest else None) == history.truth
        if history.state not in KEEPS[history.retention]:
            assert known.checkpoint is None
        if known.newest is None:
            assert known.looked_at

    @given(histories(), st.data())
    def test_what_is_gone_is_never_chosen(self, history: History, data: st.DataObject) -> None:
        paths = [str(one.path) for one in history.snapshots]
        gone = set(data.draw(st.lists(st.sampled_from(paths)))) if paths else set()
        flink = view(*history.snapshots, state=history.state, retention=history.retention)
        known = chosen(
            job(history.state), flink, listed(*paths), exists=lambda path: False if path in gone else None
        )
        for point in (known.savepoint, known.checkpoint, known.newest):
            assert point is None or point.path not in gone

    @pytest.mark.parametrize("state", STATES)
    @pytest.mark.parametrize("retention", sorted(KEEPS))
    def test_retention(self, state: str, retention: str) -> None:
        known = chosen(job(state), view(chk(3), state=state, retention=retention))
        assert (known.checkpoint is not None) == (state in KEEPS[retention])
        if known.checkpoint is None:
            assert "chk-3, was deleted" in known.why

    def test_a_discarded_checkpoint(self) -> None:
        known = chosen(job(), view(chk(3, discarded=True)))
        assert known.newest is None
        assert "chk-3, was discarded by Flink" in known.why

    def test_of_an_ended_job_whose_retention_nobody_tells(self) -> None:
        assert newest(job(), view(chk(3), retention=None)) is None
        assert newest(job("RUNNING"), view(chk(3), retention=None, state="RUNNING")) == chk(3).path

    def test_what_is_seen_on_disk_counts_more_than_any_rule(self) -> None:
        flink = view(chk(3, discarded=True), state="FINISHED", retention="none")
        assert newest(job("FINISHED"), flink, exists=lambda path: True) == chk(3).path

    @pytest.mark.parametrize(
        ("retention", "lost"), [("none", True), ("on_failure", True), ("on_cancellation", False)]
    )
    def test_a_running_jobs_checkpoint_may_go_with_it(self, retention: str, lost: bool) -> None:
        known = chosen(job("RUNNING"), view(chk(3), state="RUNNING", retention=retention))
        assert known.checkpoint is not None
        assert known.checkpoint.lost_on_cancel is lost

    def test_what_flink_says_counts_more_than_what_dinky_has_not_seen_yet(self) -> None:
        assert newest(job("RUNNING"), view(chk(3), state="FAILED", retention="none")) is None

    def test_a_stop_with_savepoint_that_flink_was_not_asked_about(self) -> None:
        stop = str(sp(4).path)
        for state in ("FINISHED", "CANCELED"):
            flink = view(chk(9), state=state)
            assert newest(job(state), flink, listed(stop, ended_with=stop)) == stop
        # One that the job went on after must be from before a restart of the job manager.
        assert newest(job("CANCELED"), flink, listed(stop)) == chk(9).path
        assert newest(job(), view(chk(9)), listed(stop, ended_with=stop)) == chk(9).path

    def test_a_savepoint_of_an_earlier_job_is_older(self) -> None:
        known = chosen(job(), view(chk(1)), listed(f"s3://s/savepoint-{EARLIER}-1"))
        assert known.newest == known.checkpoint
        assert "newer than an earlier job's savepoint" in known.why

    def test_two_spellings_of_one_place(self) -> None:
        own = sp(2, path=f"file:/s/savepoint-{JOB[:6]}-2")
        known = chosen(job(), view(own, chk(3)), listed(f"file:///s/savepoint-{JOB[:6]}-2/"))
        assert known.newest == known.checkpoint
        assert known.savepoint is not None
        assert known.savepoint.completed_at == 1002

    def test_a_savepoint_that_only_flink_knows(self) -> None:
        known = chosen(job(), view(sp(5), chk(4)), listed(f"s3://s/savepoint-{EARLIER}-1"))
        assert known.newest is not None
        assert known.newest.path == sp(5).path
        assert known.savepoint == known.newest

    def test_without_state_of_its_own_it_is_what_the_job_was_started_from(self) -> None:
        old = f"s3://c/{EARLIER}/chk-7"
        known = chosen(job(), view(restored_from=old), listed(f"s3://s/savepoint-{EARLIER}-1"))
        assert known.newest == known.checkpoint
        assert known.newest is not None
        assert (known.newest.path, known.newest.kind, known.newest.job_id) == (old, "checkpoint", None)

        savepoint = chosen(job(), view(restored_from="s3://x", restored_savepoint=True))
        assert savepoint.newest == savepoint.savepoint
        assert savepoint.checkpoint is None

    def test_with_lost_state_of_its_own_it_is_not_what_the_job_was_started_from(self) -> None:
        # Flink may have deleted that, having taken it over, and going back so far is nobody's wish.
        flink = view(chk(8, discarded=True), restored_from=f"s3://c/{EARLIER}/chk-7")
        assert newest(job(), flink) is None

    def test_a_job_that_went_on_after_a_failure_was_restored_from_its_own(self) -> None:
        own = f"s3://c/{JOB}/chk-7"
        assert newest(job(), view(restored_from=own)) == own
        assert newest(job(), view(restored_from=own, retention="none")) is None

    def test_what_was_started_from_is_gone(self) -> None:
        known = chosen(job(), view(restored_from="file:/x"), exists=lambda path: False)
        assert known.newest is None
        assert "restored from, file:/x, is gone" in known.why

    def test_no_certainty_without_flink(self) -> None:
        old = f"s3://s/savepoint-{EARLIER}-1"
        known = chosen(job(), None, listed(old), hidden="not allowed")
        assert known.newest is None
        assert known.savepoint is not None
        assert "checkpoints could not be seen: not allowed" in known.why
        # But nothing comes after a stop with savepoint.
        stop = str(sp(4).path)
        assert newest(job("FINISHED"), None, listed(stop, ended_with=stop), hidden="not allowed") == stop

    def test_what_flink_said_last(self) -> None:
        known = chosen(job("UNKNOWN"), view(chk(3), state=None, now=None, problem="cluster gone"))
        assert known.newest == known.checkpoint is not None
        assert "by what Flink said last: cluster gone" in known.why

    def test_a_task_that_never_ran(self) -> None:
        known = chosen(None, None)
        assert known == KnownState(looked_at=known.looked_at, why=known.why)
        assert "never ran" in known.why
        assert "knows no savepoint" in known.why


class TestPaths:
    def test_local_ones(self, tmp_path: Path) -> None:
        (tmp_path / "savepoint-1").mkdir()
        (tmp_path / "savepoint-1" / "_metadata").touch()
        (tmp_path / "unfinished").mkdir()
        for scheme in ("file:", "file://", ""):
            assert on_disk(f"{scheme}{tmp_path}/savepoint-1") is True
            assert on_disk(f"{scheme}{tmp_path}/savepoint-1/") is True
            assert on_disk(f"{scheme}{tmp_path}/savepoint-1/_metadata") is True
            assert on_disk(f"{scheme}{tmp_path}/savepoint-2") is False
            assert on_disk(f"{scheme}{tmp_path}/unfinished") is False
            assert on_disk(f"{scheme}{tmp_path}/elsewhere/savepoint-2") is None

    @pytest.mark.parametrize(
        "path", ["s3://b/x", "hdfs:///x", "file:/tmp/savepoint-1", "", "relative", "file:"]
    )
    def test_others_cannot_be_seen(self, path: str) -> None:
        assert on_disk(path) is None

    @given(st.text(max_size=8))
    def test_any_text(self, path: str) -> None:
        assert on_disk(path) in (True, False, None)
        assert same_place(path, path)

    def test_same_place(self) -> None:
        assert same_place("file:/a/b", "file:///a/b/")
        assert same_place("hdfs:///a", "hdfs:/a")
        assert not same_place("s3://a/b", "s3:/a/b")
        assert not same_place("file:/a", "file:/b")


# Against a sandbox.


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[DinkyHook]:
    with DinkyHook("signed_in") as hook:
        yield hook


@pytest.fixture
def direct(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[DinkyHook]:
    connection = {**json.loads(sandbox.anonymous_airflow_connection), "extra": {"allow_flink_rest": True}}
    monkeypatch.setenv("AIRFLOW_CONN_DIRECT", json.dumps(connection))
    with DinkyHook("direct") as hook:
        yield hook


def with_checkpoint(hook: DinkyHook, dinky_task_id: int = CHECKPOINTED, **start: Any) -> JobInstance:
    job = running(hook, dinky_task_id, **start)
    until(lambda: hook.get_flink_view(job.id).newest_checkpoint is not None)
    return job


def killed(hook: DinkyHook, sandbox: Sandbox, job: JobInstance) -> JobInstance:
    assert job.job_id is not None
    sandbox.kill_job(job.job_id)
    return reaches(hook, job.id, JobStatus.FAILED)


def local(path: str) -> Path:
    return Path(path.removeprefix("file:"))


@pytest.mark.parametrize("wanted", [None, "", " ", "None"])
def test_no_state(hook: DinkyHook, sandbox: Sandbox, wanted: str | None) -> None:
    found = resolve(hook, STREAM, wanted)
    assert (found.path, found.kind, found.is_chosen) == (None, None, False)
    assert not sandbox.requests


def test_a_path_is_taken_as_given(hook: DinkyHook, sandbox: Sandbox) -> None:
    found = resolve(hook, STREAM, "s3://latest/savepoint-1")
    assert (found.path, found.kind, found.is_chosen) == ("s3://latest/savepoint-1", None, False)
    assert not sandbox.requests


@pytest.mark.parametrize("wanted", ["Latest", "latest_state", "latest-savepoint"])
def test_a_slip_of_the_pen(hook: DinkyHook, wanted: str) -> None:
    with pytest.raises(
        DinkyConfigError, match="'signed_in': savepoint_path must be a path or one of latest, "
    ):
        resolve(hook, STREAM, wanted)


def test_the_newest_savepoint(hook: DinkyHook) -> None:
    running(hook, STREAM)
    hook.trigger_savepoint(STREAM)
    second = hook.trigger_savepoint(STREAM).path
    found = resolve(hook, STREAM, "latest")
    assert (found.path, found.kind, found.is_chosen) == (second, "savepoint", True)
    assert found.why == f"latest is savepoint {second}: the newest savepoint that is known"


def test_a_savepoint_that_was_deleted_is_passed_over(hook: DinkyHook) -> None:
    running(hook, STREAM)
    first, second = (hook.trigger_savepoint(STREAM).path for _ in range(2))
    assert second is not None
    shutil.rmtree(local(second))
    found = resolve(hook, STREAM, "latest")
    assert found.path == first
    assert f"savepoint {second} is gone" in found.why


def test_the_newest_checkpoint_of_a_job_that_failed(hook: DinkyHook, sandbox: Sandbox) -> None:
    job = killed(hook, sandbox, with_checkpoint(hook))
    found = resolve(hook, CHECKPOINTED, "latest-checkpoint")
    kept = hook.get_flink_view(job.id).newest_checkpoint
    assert kept is not None
    assert (found.path, found.kind, found.lost_on_cancel) == (kept.path, "checkpoint", False)
    # And it can be resumed from.
    assert running(hook, CHECKPOINTED, found.path).id > job.id
    assert sandbox.engine.jobs[-1].resumed_from == found.path


def test_an_ended_job_is_not_refreshed(hook: DinkyHook, sandbox: Sandbox) -> None:
    # A cluster that is gone would turn what is known into "unknown".
    killed(hook, sandbox, with_checkpoint(hook))
    before = len(sandbox.requests)
    resolve(hook, CHECKPOINTED, "latest-state")
    assert not [request for request in sandbox.requests[before:] if "refresh" in request.path]


def test_the_newer_of_the_two(hook: DinkyHook, sandbox: Sandbox) -> None:
    job = with_checkpoint(hook)
    savepoint = hook.trigger_savepoint(CHECKPOINTED).path
    number = hook.get_flink_view(job.id).checkpoints[0].number
    until(lambda: hook.get_flink_view(job.id).checkpoints[0].number > number)
    killed(hook, sandbox, job)

    found = resolve(hook, CHECKPOINTED, "latest-state")
    assert found.kind == "checkpoint"
    assert f"newer than the job's savepoint {savepoint}" in found.why
    assert resolve(hook, CHECKPOINTED, "latest").path == savepoint


def test_a_stop_with_savepoint_is_the_newest(hook: DinkyHook) -> None:
    job = with_checkpoint(hook)
    path = hook.trigger_savepoint(CHECKPOINTED, "stop").path
    reaches(hook, job.id, JobStatus.FINISHED)
    found = resolve(hook, CHECKPOINTED, "latest-state")
    assert (found.path, found.kind) == (path, "savepoint")


def test_a_job_that_failed_before_its_first_checkpoint(hook: DinkyHook, sandbox: Sandbox) -> None:
    killed(hook, sandbox, with_checkpoint(hook))
    first = resolve(hook, CHECKPOINTED, "latest-checkpoint").path
    sandbox.fail_checkpoints()
    killed(hook, sandbox, running(hook, CHECKPOINTED, first))
    for wanted in ("latest-checkpoint", "latest-state"):
        assert resolve(hook, CHECKPOINTED, wanted).path == first


def test_a_checkpoint_that_went_with_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TaskSpec(1, "orders", checkpoint_every=10.0)
    with Sandbox(speed=60, seed=1, quirks=False, tasks=[task]) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_SIGNED_IN", sandbox.airflow_connection)
        with DinkyHook("signed_in") as hook:
            job = with_checkpoint(hook, 1)
            assert resolve(hook, 1, "latest-checkpoint").lost_on_cancel
            killed(hook, sandbox, job)
            with pytest.raises(DinkyTaskError, match="did not keep its checkpoints when it failed") as raised:
                resolve(hook, 1, "latest-checkpoint")
    assert "externalized-checkpoint-retention" in str(raised.value)


@pytest.mark.parametrize("wanted", ["latest", "latest-checkpoint", "latest-state"])
class TestNothingKnown:
    def test_it_fails_and_says_what_to_do(self, hook: DinkyHook, sandbox: Sandbox, wanted: str) -> None:
        killed(hook, sandbox, running(hook, STREAM))
        with pytest.raises(DinkyTaskError) as raised:
            resolve(hook, STREAM, wanted)
        said = str(raised.value)
        assert said.startswith(f"connection 'signed_in': savepoint_path '{wanted}' of Dinky task 1")
        assert "Dinky knows no savepoint of the task" in said
        assert "(job instance 1, FAILED) has checkpointing off" in said
        assert "if_no_state='fresh'" in said

    def test_or_starts_without_state_if_asked(self, hook: DinkyHook, wanted: str) -> None:
        found = resolve(hook, STREAM, wanted, if_no_state="fresh")
        assert (found.path, found.kind, found.is_chosen) == (None, None, True)
        assert "without state" in found.why
        assert "never ran" in found.why

    def test_an_unknown_task(self, hook: DinkyHook, wanted: str) -> None:
        with pytest.raises(DinkyNotFoundError):
            resolve(hook, 99, wanted, if_no_state="fresh")


def test_another_word_that_would_find_something(hook: DinkyHook, sandbox: Sandbox) -> None:
    job = running(hook, STREAM)
    hook.trigger_savepoint(STREAM)
    killed(hook, sandbox, job)
    with pytest.raises(DinkyTaskError, match="or 'latest-state'"):
        resolve(hook, STREAM, "latest-checkpoint")


class TestSignedOut:
    def test_savepoints_need_a_sign_in(self, direct: DinkyHook, sandbox: Sandbox) -> None:
        with pytest.raises(DinkyTaskError, match="'direct'.*'latest'.*task 1: only a signed-in user"):
            resolve(direct, STREAM, "latest", if_no_state="fresh")
        assert not sandbox.requests

    @pytest.mark.parametrize("wanted", ["latest-checkpoint", "latest-state"])
    def test_flink_is_asked_if_allowed(
        self, hook: DinkyHook, direct: DinkyHook, sandbox: Sandbox, wanted: str
    ) -> None:
        killed(hook, sandbox, with_checkpoint(hook))
        address = f"{sandbox.host}:{sandbox.port}"
        found = resolve(direct, CHECKPOINTED, wanted, job_manager_address=address)
        assert found.path == resolve(hook, CHECKPOINTED, wanted).path

    @pytest.mark.parametrize("wanted", ["latest-checkpoint", "latest-state"])
    @pytest.mark.parametrize("if_no_state", ["fresh", "fail"])
    def test_what_cannot_be_seen_is_not_thrown_away(
        self, hook: DinkyHook, direct: DinkyHook, wanted: str, if_no_state: str
    ) -> None:
        running(hook, CHECKPOINTED)
        with pytest.raises(DinkyTaskError, match="could not be seen: .*job_manager_address") as raised:
            resolve(direct, CHECKPOINTED, wanted, if_no_state=if_no_state)
        # Only what helps is said.
        assert str(raised.value).endswith("or start without state (no savepoint_path)")

    def test_nor_are_savepoints_that_it_does_not_list(
        self, hook: DinkyHook, direct: DinkyHook, sandbox: Sandbox
    ) -> None:
        running(hook, STREAM)
        address = f"{sandbox.host}:{sandbox.port}"
        with pytest.raises(DinkyTaskError, match="without a sign-in Dinky does not list savepoints"):
            resolve(direct, STREAM, "latest-state", if_no_state="fresh", job_manager_address=address)


def test_secrets_in_paths_are_not_shown(hook: DinkyHook) -> None:
    found = resolve(hook, STREAM, "s3://key:hunter22@b/savepoint-1")
    assert found.path == "s3://key:hunter22@b/savepoint-1"
    assert "hunter22" not in found.why
