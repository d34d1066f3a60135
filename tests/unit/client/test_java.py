# SPDX-License-Identifier: Apache-2.0
"""The reason in a stack trace."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dinky.client.java import causes, gave_up_waiting, noted_cause, root_cause

NESTED = """\
java.lang.RuntimeException: Failed to execute sql
\tat org.dinky.job.JobManager.executeSql(JobManager.java:300)
\tat jdk.internal.reflect.GeneratedMethodAccessor.invoke(Unknown Source)
Caused by: org.apache.flink.util.FlinkException: Failed to execute job 'orders'.
\tat org.apache.flink.Something.run(Something.java:1)
\t... 12 more
Caused by: java.io.FileNotFoundException: Cannot find savepoint
on file system 'file'.
\tat java.base/java.io.File.open(File.java:9)
\t... 40 common frames omitted
"""


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        pytest.param(
            NESTED,
            "java.io.FileNotFoundException: Cannot find savepoint\non file system 'file'.",
            id="last cause",
        ),
        pytest.param("java.lang.Error: x\n\tat a.B.c(B.java:1)\n", "java.lang.Error: x", id="no cause"),
        pytest.param("stop job failed", "stop job failed", id="a message"),
        pytest.param("one\n  Position: 15\n", "one\n  Position: 15", id="a message of two lines"),
        pytest.param(
            "E: JSON parse error\n at [Source: (Stream); line: 1]\n\tat a.B.c(B.java:1)",
            "E: JSON parse error\n at [Source: (Stream); line: 1]",
            id="a message line that begins like a frame",
        ),
        pytest.param(
            "a.E: x\n\tSuppressed: b.F: y\n\t\tat a.B.c(B.java:1)\n", "a.E: x", id="something suppressed"
        ),
        pytest.param("a.E: x\nCaused by: ", "a.E: x", id="nothing after the cause"),
        pytest.param("\tat a.B.c(B.java:1)\n", "at a.B.c(B.java:1)", id="nothing but frames"),
        pytest.param("a.E: Caused by: nobody", "a.E: Caused by: nobody", id="a cause inside a line"),
    ],
)
def test_root_cause(trace: str, reason: str) -> None:
    assert root_cause(trace) == reason


@pytest.mark.parametrize("nothing", [None, "", "  \n "])
def test_nothing_has_no_cause(nothing: str | None) -> None:
    assert root_cause(nothing) is None


def test_a_long_reason_is_cut() -> None:
    reason = root_cause("x" * 5_000)
    assert reason is not None
    assert len(reason) == 2_002
    assert reason.endswith(" …")


@given(
    st.lists(
        st.sampled_from(["Caused by: ", "\n", "\tat a.B.c(B.java:1)", "a.E: x", "... 3 more", " ", "é"]),
        max_size=12,
    ).map("".join)
)
def test_any_text_has_a_reason_that_stands_in_it_or_none(text: str) -> None:
    reason = root_cause(text)
    assert (reason is None) == (not text.strip())
    if reason is not None:
        assert reason.strip()
        assert reason.splitlines()[0].strip() in text


def test_causes_deepest_first() -> None:
    assert causes(NESTED) == (
        "java.io.FileNotFoundException: Cannot find savepoint\non file system 'file'.",
        "org.apache.flink.util.FlinkException: Failed to execute job 'orders'.",
        "java.lang.RuntimeException: Failed to execute sql",
    )
    assert causes(None) == causes(" ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "java.util.concurrent.TimeoutException",
        "a.E: x\n\tat a.B.c(B.java:1)\nCaused by: java.util.concurrent.TimeoutException: Timeout has occurred",
        "a.E: x\nCaused by: java.util.concurrent.TimeoutException\n\tat a.B.c(B.java:1)\nCaused by: b.F: y\n",
        "Ask timed out on [Actor[akka://flink]] after [10000 ms].",
        "java.net.SocketTimeoutException: connect timed out",
        "Deployment took more than 60 seconds: deadline exceeded",
        "io.grpc.StatusRuntimeException: DEADLINE_EXCEEDED: 9.9s",
        "ClusterRetrieveException: Could not get the rest endpoint of orders",
        "The number of retries exceeds the limit, check the K8S cluster for more information",
        "任务提交超时",
        "Exception in executing FlinkSQL:\n1     INSERT INTO a SELECT 1\n\nrequest timed out",
    ],
)
def test_somebody_gave_up_waiting(text: str) -> None:
    assert gave_up_waiting(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Task Not Exist",
        "java.io.FileNotFoundException: Cannot find checkpoint",
        "Exception in executing FlinkSQL:\n1     INSERT INTO a SELECT deadline FROM b\n\nFailed to execute sql",
        'a.E: x\nCaused by: org.apache.calcite.sql.parser.SqlParseException: Encountered "deadline" at line 1',
        "a.E: x\nCaused by: org.apache.flink.table.api.ValidationException: unsupported options: 'request timed out'",
        "a.E: x\n\tat org.example.TimeoutException.of(TimeoutException.java:1)\nCaused by: b.F: y",
    ],
)
def test_nobody_gave_up_waiting(text: str | None) -> None:
    assert not gave_up_waiting(text)


_TRACE = (
    "org.apache.flink.runtime.rest.NotFoundException: Job 2a4c not found\n\tat a.b.C.d(C.java:99)\n"
    "Caused by: org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (2a4c)\n"
    "\tat a.b.C.e(C.java:99)\n\t... 28 more"
)
_CAUSE = "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (2a4c)"


@pytest.mark.parametrize(
    ("noted", "cause"),
    [
        (None, None),
        ("", None),
        ("ConnectException: Connection refused", "ConnectException: Connection refused"),
        (_TRACE, _CAUSE),
        (json.dumps([_TRACE]), _CAUSE),
        (json.dumps(["Internal server error.", _TRACE]), _CAUSE),
        (json.dumps([7]), "[7]"),
        ("[cut", "[cut"),
    ],
)
def test_the_cause_of_what_dinky_noted(noted: str | None, cause: str | None) -> None:
    """A live 1.1.0 notes whole stack traces in a JSON list."""
    assert noted_cause(noted) == cause
