# SPDX-License-Identifier: Apache-2.0
"""DAGs of the tests on a live Dinky; the Dinky tasks are made by the tests, their ids are in the environment."""

import os
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import (
    CancelTaskOperator,
    RestartTaskOperator,
    SavepointTaskOperator,
    SubmitTaskOperator,
)
from airflow_provider_dinky.sensors.dinky import JobStatusSensor

DAG_ARGUMENTS = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc)}

for way in ("authenticated", "anonymous"):
    common = {"dinky_conn_id": f"live_{way}"}

    with DAG(f"batch_{way}", **DAG_ARGUMENTS):
        submit = SubmitTaskOperator(
            task_id="submit",
            dinky_task_id=os.environ[f"LIVE_BATCH_{way.upper()}"],
            wait_for="submitted",
            **common,
        )
        submit >> JobStatusSensor(task_id="sense", job_instance_id=submit.output, deferrable=True, **common)

    with DAG(f"soft_{way}", **DAG_ARGUMENTS):
        submit = SubmitTaskOperator(
            task_id="submit",
            dinky_task_id=os.environ[f"LIVE_FAILING_{way.upper()}"],
            wait_for="submitted",
            **common,
        )
        submit >> JobStatusSensor(
            task_id="sense", job_instance_id=submit.output, mode="reschedule", soft_fail=True, **common
        )

    with DAG(f"stream_{way}", **DAG_ARGUMENTS):
        stream = {"dinky_task_id": os.environ[f"LIVE_STREAM_{way.upper()}"], **common}
        start = SubmitTaskOperator(task_id="start", deferrable=True, **stream)
        stop = CancelTaskOperator(task_id="stop", **stream)
        again = SubmitTaskOperator(task_id="again", **stream)
        start >> stop >> again

        if os.environ.get("LIVE_SAVEPOINTS"):
            restart = RestartTaskOperator(task_id="restart", deferrable=True, **stream)
            save = SavepointTaskOperator(task_id="save", savepoint_type="stop", **stream)
            last = SubmitTaskOperator(task_id="last", savepoint_path=save.output, **stream)
            again >> restart >> save >> last
