# SPDX-License-Identifier: Apache-2.0
"""What is known of a job when waiting for it ends: facts, JSON-able, without a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.job import Outcome, WaitFor, outcome


@dataclass(frozen=True)
class JobFacts:
    """The state of a job, and what a state does not tell.

    :param error: what Dinky noted for it.
    :param checkpointed: it has completed a checkpoint.
    :param restarts: how often it was restarted before its tasks ran, if that was too often; else 0.
    :param gone: Flink does not know it any more.
    :param cluster_type: ``type`` of the Dinky task; None where it is not known.
    """

    status: JobStatus
    error: str | None = None
    checkpointed: bool = False
    restarts: int = 0
    gone: bool = False
    cluster_type: str | None = None

    def is_done(self, wait_for: WaitFor) -> bool | None:
        """Whether the job is where it was awaited; False if it will not get there, None if it may."""
        if self.checkpointed:
            return True
        if self.gone or self.restarts:
            return False
        result = outcome(self.status, wait_for)
        return None if result is Outcome.WAIT else result is Outcome.DONE

    def details(self) -> dict[str, Any]:
        """What is known beyond state and error, by name."""
        cluster_type = (self.cluster_type or None) if self.status == JobStatus.UNKNOWN else None
        return {"restarts": self.restarts, "gone": self.gone, "cluster_type": cluster_type}

    def to_event(self) -> dict[str, Any]:
        """The same for a trigger's event; without what is not so, as an event of earlier versions."""
        extra = {**self.details(), "checkpointed": self.checkpointed}
        return {name: value for name, value in extra.items() if value}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> JobFacts:
        """The facts in the event of a trigger, also one of an earlier version of the provider."""
        restarts = event.get("restarts")
        return cls(
            JobStatus(event.get("status")),
            event.get("error"),
            event.get("checkpointed") is True,
            restarts if isinstance(restarts, int) else 0,
            event.get("gone") is True,
            event.get("cluster_type"),
        )
