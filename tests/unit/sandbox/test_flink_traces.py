# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from airflow_provider_dinky.sandbox.flink.traces import from_chain, from_trace
from airflow_provider_dinky.sandbox.java import Throwable

TRACE = """\
java.util.concurrent.CompletionException: org.apache.flink.x.CheckpointException: failed
\tat org.apache.flink.a.B.lambda$c$1(B.java:1)
\tSuppressed: java.lang.Error: not this
\t\tat x.Y.z(Y.java:2)
Caused by: org.apache.flink.x.CheckpointException: failed
over two lines
\tat org.apache.flink.a.B.c(B.java:3)
\t... 20 more
Caused by: java.lang.NullPointerException
\t... 21 more
"""


def test_trace_becomes_a_chain() -> None:
    assert from_trace(TRACE) == Throwable(
        "java.util.concurrent.CompletionException",
        "org.apache.flink.x.CheckpointException: failed",
        Throwable(
            "org.apache.flink.x.CheckpointException",
            "failed\nover two lines",
            Throwable("java.lang.NullPointerException", ""),
        ),
    )


def test_exception_without_a_message_is_printed_as_java_does() -> None:
    assert from_trace(TRACE).trace().splitlines()[-4] == "Caused by: java.lang.NullPointerException"


def test_text_that_is_no_trace_is_kept() -> None:
    assert from_trace("Job not found.") == Throwable("java.lang.RuntimeException", "Job not found.")
    assert from_trace("").kind == "java.lang.RuntimeException"


def test_chain_of_links() -> None:
    assert from_chain([("a.A", "1"), ("b.B", "2")]) == Throwable("a.A", "1", Throwable("b.B", "2"))
