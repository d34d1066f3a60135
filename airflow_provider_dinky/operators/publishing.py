# SPDX-License-Identifier: Apache-2.0
"""How a task tells others of its job: in its log, in XCom, and by the buttons of Airflow's UI."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky._compat import Context
from airflow_provider_dinky.followed import FollowedJob, dinky_url, flink_url
from airflow_provider_dinky.links.dinky import DinkyJobLink, FlinkJobLink
from airflow_provider_dinky.operators.base import DinkyOperator

FOLLOWED_JOB = "followed_job"
"""XCom key of the followed job, for what comes back after a deferral that timed out."""


class PublishingOperator(DinkyOperator):
    """Base of the operators that have a job to show."""

    def _publish(self, context: Context, job: FollowedJob) -> None:
        links = {
            DinkyJobLink.xcom_key: dinky_url(self.hook.config.base_url, job.job_instance_id),
            FlinkJobLink.xcom_key: flink_url(job.job_manager_address, job.job_id),
        }
        self.log.info("Following %s, Flink job %s", job, job.job_id)
        self.log.info("Dinky: %s", links[DinkyJobLink.xcom_key])
        self.log.info("Flink: %s", links[FlinkJobLink.xcom_key] or "its page is not known")
        self._push(
            context,
            {
                **links,
                FOLLOWED_JOB: job.to_dict(),
                "job_instance_id": job.job_instance_id,
                "job_id": job.job_id,
                "job_manager_address": job.job_manager_address,
            },
        )

    @staticmethod
    def _published(context: Context) -> dict[str, Any] | None:
        ti: Any = context["ti"]
        known: dict[str, Any] | None = ti.xcom_pull(
            task_ids=ti.task_id, key=FOLLOWED_JOB, map_indexes=ti.map_index
        )
        return known

    def _push(self, context: Context, values: dict[str, Any]) -> None:
        ti: Any = context["ti"]
        try:
            for key, value in values.items():
                if value is not None:
                    ti.xcom_push(key=key, value=value)
        except Exception:
            # The job runs: whoever reads the log finds it, and losing sight of it now would be worse.
            self.log.exception(
                "XCom could not be written; the job is followed all the same: %s", list(values)
            )
