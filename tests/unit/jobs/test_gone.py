# SPDX-License-Identifier: Apache-2.0
"""When an error text proves that Flink does not know a job, and what is said of an UNKNOWN job."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.jobs.gone import UnknownJob, is_application, is_gone

OURS, OTHER = "63dfe9ba52ba3bd5aa08c37146daf9bd", "0a6ca3420f07644a43dd47ddeac8a3a9"


def noted(job_id: str) -> str:
    return json.dumps(
        [
            f"org.apache.flink.runtime.rest.NotFoundException: Job {job_id} not found\nCaused by: "
            f"org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({job_id})"
        ]
    )


@pytest.mark.parametrize(
    ("error", "job_id", "expected"),
    [
        (noted(OURS), OURS, True),
        (noted(OURS), OURS.upper(), True),
        (noted(OURS), None, True),
        ("...FlinkJobNotFoundException: gone", OURS, True),
        (noted(OTHER), OURS, False),
        ("ConnectException: Connection refused", OURS, False),
        ("HTTP 404: not found", OURS, False),
        ("", OURS, False),
        (None, OURS, False),
    ],
)
def test_only_flinks_own_answer_about_this_job_counts(
    error: str | None, job_id: str | None, expected: bool
) -> None:
    assert is_gone(error, job_id) is expected


@pytest.mark.parametrize(
    ("cluster_type", "expected"),
    [
        ("kubernetes-application", True),
        ("kubernetes-application-operator", True),
        ("yarn-application", True),
        ("yarn-per-job", True),
        ("yarn-session", False),
        ("kubernetes-session", False),
        ("standalone", False),
        ("local", False),
        (None, False),
    ],
)
def test_which_clusters_end_with_their_job(cluster_type: str | None, expected: bool) -> None:
    assert is_application(cluster_type) is expected


def test_a_gone_job_is_said_to_be_gone() -> None:
    assert UnknownJob(JobStatus.UNKNOWN, True, None, OURS).reason == (
        f"Flink does not know job {OURS} any more: the cluster was restarted without high availability, or the job "
        "ended while Dinky was away"
    )


def test_a_cluster_that_cannot_be_reached_is_named() -> None:
    reason = UnknownJob(JobStatus.UNKNOWN, False, None, OURS, "jm:8081", "standalone").reason
    assert "jm:8081" in reason
    assert "may still be running" in reason


@pytest.mark.parametrize("is_gone_", [True, False])
@pytest.mark.parametrize("cluster_type", ["kubernetes-application", "yarn-per-job"])
def test_of_an_application_nothing_is_guessed(is_gone_: bool, cluster_type: str) -> None:
    reason = UnknownJob(JobStatus.UNKNOWN, is_gone_, None, OURS, "jm:8081", cluster_type).reason
    assert "high availability" not in reason
    assert "the cluster ends with its job" in reason
    assert "is not known" in reason
    assert ("YARN" in reason) is ("yarn" in cluster_type)
