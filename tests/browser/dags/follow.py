# SPDX-License-Identifier: Apache-2.0
"""A job that runs until it is stopped, and one that fails: what the browser looks at."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator

STREAM, FAILING = 1, 4

with DAG("follow_a_stream", start_date=datetime(2026, 1, 1), schedule=None, catchup=False):
    SubmitTaskOperator(task_id="orders", dinky_task_id=STREAM, wait_for="finished", poll_interval=1)

with DAG("parse_amounts", start_date=datetime(2026, 1, 1), schedule=None, catchup=False):
    SubmitTaskOperator(task_id="parse", dinky_task_id=FAILING, wait_for="finished", poll_interval=1)
