# SPDX-License-Identifier: Apache-2.0
"""A DAG that an event runs, and one that stops the same job knowingly."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_dinky.operators.dinky import CancelTaskOperator
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger

WATCHED = 301
TROUBLE = Asset(
    "stream_301_trouble",
    watchers=[
        AssetWatcher(
            name="stream_301",
            trigger=JobStatusEventTrigger(
                WATCHED, states=("FAILED", "CANCELED"), poll_interval=0.5, settle=2.0
            ),
        )
    ],
)

with DAG("event_told", start_date=datetime(2026, 1, 1), schedule=TROUBLE, catchup=False):

    @task
    def tell(*, triggering_asset_events):
        return [event.extra["payload"]["event_id"] for event in triggering_asset_events[TROUBLE]]

    tell()

with DAG("event_knowing_stop", start_date=datetime(2026, 1, 1), schedule=None, catchup=False):
    CancelTaskOperator(task_id="stop", dinky_task_id=WATCHED, inlets=[TROUBLE])
