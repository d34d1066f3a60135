# SPDX-License-Identifier: Apache-2.0
"""What Flink knows of a job: read from the answers of any Flink, asked through Dinky and directly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.errors import (
    DinkyConnectionError,
    DinkyNotFoundError,
    FlinkNotVisibleError,
)
from airflow_provider_dinky.flink_view import Checkpoint, FlinkView, read_view
from airflow_provider_dinky.hooks.dinky import DinkyHook
from airflow_provider_dinky.sandbox import Sandbox
from tests.contract.recorded import exchange
from tests.sandboxed import sandbox
from tests.servers import LOCALHOST, Reply, Request, TinyServer, envelope, free_port
from tests.unit.streams import CHECKPOINTED, STREAM, running, until

__all__ = ["sandbox"]

SAVEPOINTS = "file:/flink/savepoints/savepoint-0a6ca3-"
FIELDS = [
    *("state", "now", "id", "status", "history", "latest", "completed", "savepoint", "restored"),
    *("external_path", "is_savepoint", "discarded", "interval", "externalization", "exceptionHistory"),
    *("entries", "timestamp", "duration", "start-time", "end-time", "checkpoint_type"),
]
NOW = 1_795_315_600_306


def view_of(data: dict[str, Any]) -> FlinkView:
    return read_view(
        data["job"], data["checkpoints"], data["checkpointsConfig"], data["exceptions"], source="Flink"
    )


def completed(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "className": "completed",
        "id": number,
        "status": "COMPLETED",
        "is_savepoint": False,
        "trigger_timestamp": NOW + number - 15,
        "latest_ack_timestamp": NOW + number,
        "checkpoint_type": "CHECKPOINT",
        "external_path": f"file:/flink/checkpoints/a1/chk-{number}",
        "discarded": False,
        **fields,
    }


def checkpoints_of(*history: Any, **latest: Any) -> tuple[Checkpoint, ...]:
    return read_view(None, {"history": list(history), "latest": latest}, None, None, source="x").checkpoints


class TestRecorded:
    def test_savepoints_of_a_running_job(self) -> None:
        view = read_view(None, exchange("flink_checkpoints").body, None, None, source="Flink")
        assert view.checkpoints == (
            Checkpoint(f"{SAVEPOINTS}81388160882d", True, 1795315602383, False, 2),
            Checkpoint(f"{SAVEPOINTS}286da0d07318", True, 1795315600648, False, 1),
        )
        assert view.newest_checkpoint is None
        assert (view.state, view.now, view.failures, view.checkpointing, view.retention) == (None,) * 5

    def test_a_running_job_as_dinky_tells_it(self) -> None:
        view = view_of(exchange("refresh_running").body["data"]["jobDataDto"])
        assert (view.job_id, view.state, view.now) == ("0a6ca3420f07644a43dd47ddeac8a3a9", "RUNNING", NOW)
        assert (view.checkpoints, view.restored_from) == ((), None)
        assert (view.checkpointing, view.retention) == (False, "none")
        assert (view.failures, view.failures_truncated) == ((), False)

    def test_a_failed_job(self) -> None:
        view = view_of(exchange("failed_detail").body["data"]["jobDataDto"])
        assert view.state == "FAILED"
        alone = read_view(None, None, None, exchange("flink_exceptions").body, source="Flink")
        assert view.failures == alone.failures == (1795315591499,)


class TestReading:
    def test_what_is_not_told_is_unknown(self) -> None:
        view = read_view(None, None, None, None, source="Flink", job_id="a1")
        assert view == FlinkView("a1", None, None, (), None, None, None, None, False, "Flink")

    def test_only_what_is_complete_counts(self) -> None:
        assert checkpoints_of(
            completed(3, className="in_progress", status="IN_PROGRESS"),
            completed(2, className="failed", status="FAILED"),
            completed(1),
        ) == (Checkpoint("file:/flink/checkpoints/a1/chk-1", False, NOW + 1, False, 1),)

    def test_dinky_tells_only_of_the_newest_where_it_lies(self) -> None:
        kept = {"id", "status", "is_savepoint", "latest_ack_timestamp", "checkpoint_type"}
        listed = [{k: v for k, v in completed(n).items() if k in kept} for n in (9, 8, 7)]
        newest = {k: v for k, v in completed(9).items() if k != "className"}

        found = checkpoints_of(*listed, completed=newest, savepoint=None)
        assert [(one.number, one.path) for one in found] == [
            (9, "file:/flink/checkpoints/a1/chk-9"),
            (8, None),
            (7, None),
        ]

    def test_a_savepoint_that_the_list_holds_no_more(self) -> None:
        savepoint = completed(2, is_savepoint=True, external_path="s3://b/savepoint-1")
        found = checkpoints_of(
            *map(completed, range(13, 3, -1)), savepoint=savepoint, completed=completed(13)
        )
        assert [one.number for one in found] == [*range(13, 3, -1), 2]
        assert found[-1].is_savepoint

    def test_order_is_that_of_their_numbers(self) -> None:
        # A savepoint takes longer, and holds the state of when it began.
        savepoint = completed(4, is_savepoint=True, latest_ack_timestamp=NOW + 10_000)
        assert [one.number for one in checkpoints_of(savepoint, completed(5))] == [5, 4]

    @pytest.mark.parametrize("where", ["history", "latest"])
    def test_discarded_as_soon_as_it_is_said_anywhere(self, where: str) -> None:
        gone, kept = completed(1, discarded=True), completed(1, discarded=None)
        (one,) = checkpoints_of(
            gone if where == "history" else kept, completed=kept if where == "history" else gone
        )
        assert one.discarded

    @pytest.mark.parametrize("kind", ["SAVEPOINT", "SYNC_SAVEPOINT"])
    def test_a_savepoint_of_an_older_flink(self, kind: str) -> None:
        (one,) = checkpoints_of(completed(1, is_savepoint=None, checkpoint_type=kind))
        assert one.is_savepoint

    def test_a_checkpoint_in_memory_has_no_path(self) -> None:
        (one,) = checkpoints_of(completed(1, external_path="<checkpoint-not-externally-addressable>"))
        assert one.path is None

    @pytest.mark.parametrize(
        ("path", "is_savepoint"), [("s3://b/a1/chk-7", False), ("s3://b/savepoint-a1", True)]
    )
    def test_restored(self, path: str, is_savepoint: bool) -> None:
        # Flink says "savepoint" of whatever a job was started from.
        restored = {"id": 7, "restore_timestamp": NOW, "is_savepoint": True, "external_path": path}
        view = read_view(None, {"latest": {"restored": restored}}, None, None, source="Flink")
        assert (view.restored_from, view.restored_savepoint) == (path, is_savepoint)

    @pytest.mark.parametrize(
        ("config", "retention"),
        [
            ({"enabled": False, "delete_on_cancellation": True}, "none"),
            ({"enabled": True, "delete_on_cancellation": True}, "on_failure"),
            ({"enabled": True, "delete_on_cancellation": False}, "on_cancellation"),
            ({}, None),
        ],
    )
    def test_retention(self, config: dict[str, bool], retention: str | None) -> None:
        view = read_view(None, None, {"interval": 1000, "externalization": config}, None, source="Flink")
        assert (view.retention, view.checkpointing) == (retention, True)

    def test_a_job_with_a_checkpoint_takes_checkpoints(self) -> None:
        assert read_view(None, {"history": [completed(1)]}, None, None, source="x").checkpointing is True

    def test_the_time_of_a_running_job_without_now(self) -> None:
        details = {"start-time": 1000, "duration": 234, "end-time": -1}
        assert read_view(details, None, None, None, source="x").now == 1234

    def test_failures(self) -> None:
        entries = [{"timestamp": 7}, {"timestamp": 9}, {}, None]
        history = {"exceptionHistory": {"entries": entries, "truncated": True}, "timestamp": 1}
        view = read_view(None, None, None, history, source="x")
        assert (view.failures, view.failures_truncated) == ((9, 7), True)

    def test_failures_of_a_flink_without_their_history(self) -> None:
        assert read_view(None, None, None, {"timestamp": 5}, source="x").failures == (5,)
        assert read_view(None, None, None, {"timestamp": None}, source="x").failures == ()

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(FIELDS),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_answer_can_be_read(self, answer: Any) -> None:
        view = read_view(answer, answer, answer, answer, source="x")
        numbers = [one.number for one in view.checkpoints]
        assert numbers == sorted(numbers, reverse=True)


# Asked


@pytest.fixture
def signed_in(sandbox: Sandbox) -> Iterator[DinkyHook]:
    with DinkyHook("signed_in") as hook:
        yield hook


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DinkyHook]]:
    hooks: list[DinkyHook] = []

    def make(url: str, **fields: Any) -> DinkyHook:
        monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": "dinky", "host": url, **fields}))
        hooks.append(DinkyHook("c1"))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


def direct(connection: Callable[..., DinkyHook], url: str) -> DinkyHook:
    return connection(url, extra={"allow_flink_rest": True})


def test_signed_in_it_takes_one_request(signed_in: DinkyHook, sandbox: Sandbox) -> None:
    job = running(signed_in, CHECKPOINTED)
    until(lambda: bool(signed_in.get_flink_view(job.id).checkpoints))
    before = len(sandbox.requests)
    view = signed_in.get_flink_view(job.id)
    (request,) = sandbox.requests[before:]

    assert request.path == "/api/jobInstance/refreshJobInfoDetail"
    assert (view.job_id, view.state) == (job.job_id, "RUNNING")
    assert (view.checkpointing, view.retention, view.problem) == (True, "on_cancellation", None)
    assert view.newest_checkpoint is not None
    assert view.newest_checkpoint.path is not None
    assert view.newest_checkpoint.path.endswith(f"{job.job_id}/chk-{view.newest_checkpoint.number}")
    assert view.now is not None
    assert view.newest_checkpoint.completed_at is not None
    assert view.now - view.newest_checkpoint.completed_at <= 10_000


def test_directly_it_is_the_same(
    signed_in: DinkyHook, sandbox: Sandbox, connection: Callable[..., DinkyHook]
) -> None:
    job = running(signed_in, CHECKPOINTED)
    assert job.job_id is not None
    until(lambda: bool(signed_in.get_flink_view(job.id).checkpoints))
    sandbox.kill_job(job.job_id)
    address = f"{sandbox.host}:{sandbox.port}"
    before = len(sandbox.requests)
    asked = direct(connection, sandbox.url).get_flink_view(job.id, job.job_id, address)

    assert {request.path.split(job.job_id)[1] for request in sandbox.requests[before:]} == {
        "",
        "/checkpoints",
        "/checkpoints/config",
        "/exceptions",
    }
    told = signed_in.get_flink_view(job.id)
    assert asked.source == f"Flink at {address}"
    assert (asked.checkpoints, asked.failures, asked.state) == (told.checkpoints, told.failures, "FAILED")


def test_a_restart_of_flinks_own_is_a_failure(signed_in: DinkyHook, sandbox: Sandbox) -> None:
    job = running(signed_in, CHECKPOINTED)
    assert job.job_id is not None
    sandbox.restart_job(job.job_id)
    view = signed_in.get_flink_view(job.id)
    assert view.failures is not None
    assert len(view.failures) == 1


def test_anonymous_it_is_not_visible(signed_in: DinkyHook, sandbox: Sandbox) -> None:
    job = running(signed_in, STREAM)
    before = len(sandbox.requests)
    with DinkyHook("anonymous") as hook, pytest.raises(FlinkNotVisibleError) as raised:
        hook.get_flink_view(job.id, job.job_id, "jm:8081")
    assert raised.value.forbidden
    assert "'anonymous'" in str(raised.value)
    assert "user and password" in str(raised.value)
    assert "allow_flink_rest" in str(raised.value)
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(
    ("job_id", "address", "missing"),
    [("a1", None, "job_manager_address"), (None, "jm:8081", "id of the job")],
)
def test_directly_it_needs_to_know_where(
    sandbox: Sandbox,
    connection: Callable[..., DinkyHook],
    job_id: str | None,
    address: str | None,
    missing: str,
) -> None:
    with pytest.raises(FlinkNotVisibleError, match=f"without .*{missing}") as raised:
        direct(connection, sandbox.url).get_flink_view(1, job_id, address)
    assert raised.value.forbidden


def test_flink_that_cannot_be_reached_directly(
    sandbox: Sandbox, connection: Callable[..., DinkyHook]
) -> None:
    address = f"{LOCALHOST}:{free_port()}"
    with pytest.raises(FlinkNotVisibleError, match=f"Flink at {address}, asked directly") as raised:
        direct(connection, sandbox.url).get_flink_view(1, "a1", address)
    assert not raised.value.forbidden


def test_what_was_seen_before_the_cluster_went_is_old(
    connection: Callable[..., DinkyHook],
) -> None:
    # Dinky then keeps what it saw, time included, and says that it could not ask.
    data = exchange("refresh_running").body["data"]
    old = {**data, "jobDataDto": {**data["jobDataDto"], "error": True, "errorMsg": "Connection refused"}}
    with TinyServer(lambda request: envelope(old)) as server:
        view = connection(server.url, password="t1").get_flink_view(34)
        assert (view.state, view.now) == (None, None)
        assert view.problem == "Dinky cannot reach Flink (Connection refused)"
        assert view.retention == "none"
        # What Dinky has just failed to do is not tried once more.
        assert len(server.received) == 1


def test_where_dinky_has_not_looked_yet_it_passes_the_question_on(
    connection: Callable[..., DinkyHook],
) -> None:
    data = exchange("refresh_running").body["data"]
    nothing = {**data, "jobDataDto": dict.fromkeys(data["jobDataDto"])}

    def respond(request: Request) -> Any:
        if not request.path.startswith("/api/flink/"):
            return envelope(nothing)
        if request.path.endswith("/checkpoints"):
            return Reply(json.dumps(exchange("flink_checkpoints").body).encode())
        if request.path.endswith("/exceptions"):
            return Reply(b"{}", 404)
        return Reply(json.dumps(data["jobDataDto"]["job"]).encode())

    with TinyServer(respond) as server:
        view = connection(server.url, password="t1").get_flink_view(34)
        assert {request.path.partition("?")[0] for request in server.received[1:]} == {
            f"/api/flink/127.0.0.1:8081/jobs/{data['instance']['jid']}{view}"
            for view in ("", "/checkpoints", "/checkpoints/config", "/exceptions")
        }
    assert (view.state, view.now, view.failures, len(view.checkpoints)) == ("RUNNING", NOW, None, 2)


def test_nobody_tells(connection: Callable[..., DinkyHook]) -> None:
    data = exchange("refresh_running").body["data"]
    nothing = {**data, "jobDataDto": None}

    def respond(request: Request) -> Any:
        return Reply(b"", 502) if request.path.startswith("/api/flink/") else envelope(nothing)

    with TinyServer(respond) as server:
        with pytest.raises(
            FlinkNotVisibleError, match="job instance 34 is not visible: .*HTTP 502"
        ) as raised:
            connection(server.url, password="t1").get_flink_view(34)
        assert not raised.value.forbidden
        # Asked beside the way: not again and again.
        assert len(server.received) == 2


def test_where_the_refresh_is_refused_it_takes_what_is_kept(connection: Callable[..., DinkyHook]) -> None:
    data = exchange("refresh_running").body["data"]

    def respond(request: Request) -> Any:
        return envelope(None, code=1, msg="no") if "refresh" in request.path else envelope(data)

    with TinyServer(respond) as server:
        assert connection(server.url, password="t1").get_flink_view(34).state == "RUNNING"


def test_an_unknown_job_instance(signed_in: DinkyHook) -> None:
    with pytest.raises(DinkyNotFoundError):
        signed_in.get_flink_view(99)


def test_an_outage_of_dinky_is_one(
    connection: Callable[..., DinkyHook], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_dinky.client import blocking
    from airflow_provider_dinky.client.retry import NO_RETRY

    monkeypatch.setattr(blocking, "RetryFor", lambda: NO_RETRY)
    with pytest.raises(DinkyConnectionError):
        connection(f"http://{LOCALHOST}:{free_port()}", password="t1").get_flink_view(34)
