# SPDX-License-Identifier: Apache-2.0
"""What UNKNOWN stands for: Flink does not know the job any more, or its cluster cannot be reached. Pure rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dinky.client.status import JobStatus

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance

CONFIRM_AFTER = 15.0
"""Seconds between the two answers that prove that a job is gone: a cluster with high availability says that it does
not know a job while it recovers its jobs."""

_NOT_FOUND = "FlinkJobNotFoundException"
_NAMED_JOB = re.compile(r"Could not find Flink job \(([0-9a-fA-F]{32})\)")
_APPLICATION = ("application", "per-job")


def is_gone(error: str | None, job_id: str | None = None) -> bool:
    """Whether the error that Dinky noted for an instance says that Flink does not know the job.

    :param error: ``error`` of the job instance, a JSON list in a text.
    :param job_id: Flink's id of the job; an error that names another job proves nothing.
    """
    if not error or _NOT_FOUND not in error:
        return False
    named = _NAMED_JOB.findall(error)
    return not named or not job_id or job_id.lower() in (one.lower() for one in named)


def is_application(cluster_type: str | None) -> bool:
    """Whether a cluster of this type (``type`` of a Dinky task or job instance) ends with its only job."""
    return cluster_type is not None and any(kind in cluster_type.lower() for kind in _APPLICATION)


@dataclass(frozen=True)
class UnknownJob:
    """A job that Dinky calls UNKNOWN, after it was made to look again where it can be.

    :param status: what Dinky says now; the rest counts only while that is UNKNOWN.
    :param is_gone: Flink does not know the job (any more); False also where nobody could be asked.
    :param error: what Dinky noted; not masked yet.
    :param job_id: Flink's id of the job.
    :param job_manager_address: ``host:port`` of its cluster.
    :param cluster_type: ``type`` of the Dinky task; None where it is not visible.
    :param instance: the job instance as Dinky showed it.
    """

    status: JobStatus
    is_gone: bool = False
    error: str | None = None
    job_id: str | None = None
    job_manager_address: str | None = None
    cluster_type: str | None = None
    instance: JobInstance | None = None

    @property
    def reason(self) -> str:
        """One sentence: what UNKNOWN means here, and where to look; without what Dinky noted."""
        if self.is_gone:
            return gone_reason(self.job_id, self.cluster_type)
        return unreachable_reason(self.job_manager_address, self.cluster_type)


def gone_reason(job_id: str | None, cluster_type: str | None = None) -> str:
    """Flink does not know the job any more."""
    named = f"job {job_id}" if job_id else "the job"
    if is_application(cluster_type):
        return (
            f"Flink does not know {named} any more. {_application(cluster_type)} how the job ended is not known; look "
            f"for the cluster's logs {_where_the_logs_are(cluster_type)}"
        )
    return (
        f"Flink does not know {named} any more: the cluster was restarted without high availability, or the job "
        "ended while Dinky was away"
    )


def unreachable_reason(job_manager_address: str | None = None, cluster_type: str | None = None) -> str:
    """Dinky cannot reach the job's cluster, or what Flink says is not visible."""
    at = f" at {job_manager_address}" if job_manager_address else ""
    if is_application(cluster_type):
        return (
            f"the job's Flink cluster{at} is gone or cannot be reached. {_application(cluster_type)} whether the job "
            f"finished, failed or still runs is not known; look for the cluster's logs "
            f"{_where_the_logs_are(cluster_type)}"
        )
    return f"Dinky lost sight of the job, which may still be running: check its Flink cluster{at}"


def _application(cluster_type: str | None) -> str:
    return f"In {cluster_type} mode the cluster ends with its job, so"


def _where_the_logs_are(cluster_type: str | None) -> str:
    if cluster_type and "yarn" in cluster_type.lower():
        return "in YARN (yarn logs -applicationId ..., or the history server)"
    if cluster_type and "kubernetes" in cluster_type.lower():
        return "in Kubernetes (the pods' logs in your log store, the events of the deployment)"
    return "where your cluster keeps them"
