# SPDX-License-Identifier: Apache-2.0
"""The sandbox over real sockets: embedding it, real faults, restarts, and many clients at once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from airflow_provider_dinky.sandbox import Sandbox, TaskSpec
from airflow_provider_dinky.sandbox.tasks import TaskFileError

STREAM, BOUNDED = 1, 2


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=50, quirks=False, seed=3) as running:
        yield running


def _version(sandbox: Sandbox, timeout: float = 5.0) -> requests.Response:
    return requests.get(f"{sandbox.url}/openapi/version", timeout=timeout)


def _submit(sandbox: Sandbox, timeout: float = 5.0) -> requests.Response:
    return requests.post(f"{sandbox.url}/openapi/submitTask", json={"id": STREAM}, timeout=timeout)


def _until(condition: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_it_answers_on_a_free_loopback_port(sandbox: Sandbox) -> None:
    assert sandbox.host == "127.0.0.1"
    assert _version(sandbox).json()["data"] == "1.1.0"
    connection = json.loads(sandbox.airflow_connection)
    assert (connection["conn_type"], connection["port"], connection["login"]) == (
        "dinky",
        sandbox.port,
        "admin",
    )
    assert "login" not in json.loads(sandbox.anonymous_airflow_connection)


def test_a_job_from_submit_to_finish(sandbox: Sandbox) -> None:
    submitted = requests.post(f"{sandbox.url}/openapi/submitTask", json={"id": BOUNDED}, timeout=60).json()
    instance_id = submitted["data"]["jobInstanceId"]
    assert submitted["data"]["jobManagerAddress"] == f"{sandbox.host}:{sandbox.port}"

    def status() -> str:
        answer = requests.get(f"{sandbox.url}/openapi/getJobInstance?id={instance_id}", timeout=60)
        return str(answer.json()["data"]["status"])

    _until(lambda: status() == "FINISHED")
    assert [job.state for job in sandbox.engine.jobs] == ["FINISHED"]


def test_a_session_signs_in_with_cookies(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        body = {"username": "admin", "password": "admin", "autoLogin": True, "ldapLogin": False}
        session.post(f"{sandbox.url}/api/login", json=body, timeout=60)
        session.post(f"{sandbox.url}/api/chooseTenant", params={"tenantId": 1}, timeout=60)
        session.cookies.set("tenantId", "1")
        assert (
            session.get(f"{sandbox.url}/api/task?id=1", timeout=60).json()["data"]["name"] == "orders_stream"
        )


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reset_before_or_after_the_server_acted(sandbox: Sandbox, when: str) -> None:
    sandbox.fault("reset", "/openapi/submitTask", when=when)
    with pytest.raises(requests.ConnectionError):
        _submit(sandbox)
    assert len(sandbox.engine.jobs) == (1 if when == "after" else 0)
    assert _submit(sandbox).json()["code"] == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_that_never_comes(sandbox: Sandbox, when: str) -> None:
    sandbox.fault("hang", "/openapi/submitTask", when=when)
    with pytest.raises(requests.ReadTimeout):
        _submit(sandbox, timeout=0.3)
    assert len(sandbox.engine.jobs) == (1 if when == "after" else 0)


def test_a_proxy_error_before_and_after_the_server_acted(sandbox: Sandbox) -> None:
    for when, jobs in (("before", 0), ("after", 1)):
        sandbox.fault("status", "/openapi/submitTask", method="POST", when=when, status=502)
        answer = _submit(sandbox)
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")
        assert len(sandbox.engine.jobs) == jobs


def test_other_bodies_redirects_and_latency(sandbox: Sandbox) -> None:
    sandbox.fault("body", "/openapi/version", body="not json", content_type="text/plain")
    assert _version(sandbox).text == "not json"
    sandbox.fault("redirect", "/openapi/version", location="http://127.0.0.1:9/elsewhere")
    answer = requests.get(f"{sandbox.url}/openapi/version", allow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")
    slow = sandbox.fault("latency", "/openapi/version", seconds=10.0)
    begin = time.monotonic()
    assert _version(sandbox).json()["code"] == 0
    assert time.monotonic() - begin >= 10.0 / 50
    assert slow.hits == 1


def test_faults_count_and_can_be_removed(sandbox: Sandbox) -> None:
    sandbox.fault("status", status=503, count=2)
    assert [_version(sandbox).status_code for _ in range(3)] == [503, 503, 200]
    sandbox.fault("status", status=503, count=None)
    assert _version(sandbox).status_code == 503
    sandbox.clear_faults()
    assert _version(sandbox).status_code == 200


def test_nothing_listens_while_the_server_restarts(sandbox: Sandbox) -> None:
    job = _submit(sandbox).json()["data"]["jobInstanceId"]
    sandbox.restart(down_for=50.0, wait=False)
    with socket.socket() as probe:
        assert probe.connect_ex((sandbox.host, sandbox.port)) != 0
    _until(lambda: _answers(sandbox))
    answer = requests.get(f"{sandbox.url}/openapi/getJobInstance?id={job}", timeout=60).json()
    assert answer["data"]["id"] == job
    sandbox.restart(keep_memory=False)
    answer = requests.get(f"{sandbox.url}/openapi/getJobInstance?id={job}", timeout=60).json()
    assert answer["msg"] == "Job Instance Not Exist"


def _answers(sandbox: Sandbox) -> bool:
    try:
        return _version(sandbox).ok
    except requests.ConnectionError:
        return False


def test_five_submits_at_once_are_five_jobs(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: _submit(sandbox).json(), range(5)))
    ids = sorted(answer["data"]["jobInstanceId"] for answer in answers)
    assert ids == [1, 2, 3, 4, 5]
    assert len({job.jid for job in sandbox.engine.jobs if job.active}) == 5


def test_a_client_that_gives_up_does_not_stop_the_submit(sandbox: Sandbox) -> None:
    sandbox.fault("latency", "/openapi/submitTask", seconds=20.0)
    with pytest.raises(requests.ReadTimeout):
        _submit(sandbox, timeout=0.05)
    assert sandbox.engine.jobs == ()
    _until(lambda: len(sandbox.engine.jobs) == 1)


def test_flink_that_is_gone_resets_its_connections(sandbox: Sandbox) -> None:
    sandbox.kill_cluster()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{sandbox.url}/jobs/overview", timeout=60)


def test_own_tasks_savepoints_and_credentials(tmp_path: Path) -> None:
    task = TaskSpec(42, "mine", "streaming")
    with Sandbox(speed=100, tasks=[task], password="secret", savepoints=tmp_path, quirks=False) as sandbox:
        assert [one.id for one in sandbox.tasks] == [42]
        requests.post(f"{sandbox.url}/openapi/submitTask", json={"id": 42}, timeout=60)
        _until(lambda: sandbox.engine.jobs[0].state == "RUNNING")
        parameters = {"taskId": "42", "savePointType": "trigger"}
        requests.post(f"{sandbox.url}/openapi/savepoint", params=parameters, timeout=60)
        assert len(list(tmp_path.glob("savepoint-*/_metadata"))) == 1
        assert json.loads(sandbox.airflow_connection)["password"] == "secret"
        assert [one.path for one in sandbox.requests] == ["/openapi/submitTask", "/openapi/savepoint"]


def test_temporary_savepoints_go_with_the_sandbox() -> None:
    with Sandbox(speed=100, quirks=False) as sandbox:
        _submit(sandbox)
        _until(lambda: sandbox.engine.jobs[0].state == "RUNNING")
        parameters = {"taskId": "1", "savePointType": "trigger"}
        answer = requests.post(f"{sandbox.url}/openapi/savepoint", params=parameters, timeout=60).json()
        path = Path(answer["data"]["jobInfos"][0]["savePoint"].removeprefix("file:"))
        assert path.is_dir()
    assert not path.exists()


def test_stopping_while_requests_hang_is_quick() -> None:
    with Sandbox() as sandbox, ThreadPoolExecutor(1) as pool:
        sandbox.fault("hang", "/openapi/version")
        hanging = pool.submit(_version, sandbox, 600.0)
        _until(lambda: len(sandbox.requests) == 1)
        begin = time.monotonic()
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            hanging.result(60.0)
        assert time.monotonic() - begin < 60.0


def test_a_sandbox_that_cannot_start_leaves_nothing_open(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=sandbox.port)
    with pytest.raises(TaskFileError):
        Sandbox(tasks=[TaskSpec(1, "a"), TaskSpec(1, "b")])


def test_controls_need_a_running_sandbox() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not started"):
        sandbox.kill_cluster()
    sandbox.stop()
    sandbox.stop()
