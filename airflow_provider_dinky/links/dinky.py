# SPDX-License-Identifier: Apache-2.0
"""Buttons of a task in Airflow's UI that lead to its job in Dinky and in Flink.

The addresses are put into XCom right after the submit, under the key the UI reads, so a running task shows them.
"""

from __future__ import annotations

from typing import Any

import attrs

from airflow_provider_dinky._compat import BaseOperatorLink, read_xcom


@attrs.define()
class DinkyJobLink(BaseOperatorLink):
    """To Dinky's page of the job instance."""

    name = "Dinky job"
    xcom_key = "dinky_job_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address, or an empty text before there is a job."""
        return read_xcom(ti_key, self.xcom_key) or ""


@attrs.define()
class FlinkJobLink(BaseOperatorLink):
    """To Flink's page of the job."""

    name = "Flink job"
    xcom_key = "flink_job_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address, or an empty text while the job manager is not known."""
        return read_xcom(ti_key, self.xcom_key) or ""
