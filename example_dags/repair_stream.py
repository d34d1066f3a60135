# SPDX-License-Identifier: Apache-2.0
"""A stream that heals itself: when its job fails, start it again from its newest good state.

The trigger watches the Dinky task and reports a failure as an asset event; this DAG is run by that event (Airflow 3).
It starts the job from the newest savepoint or retained checkpoint, whichever is newer. After three failures within an
hour it gives up and calls for help: a job that fails so often needs a person.

The task that is watched: in the sandbox 10, ``orders_checkpointed``; put your own id where it says 10.
"""

import logging
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_dinky.operators.dinky import SubmitTaskOperator
from airflow_provider_dinky.triggers.job_events import JobStatusEventTrigger

DINKY_TASK = 10
AT_MOST, WITHIN = 3, timedelta(hours=1)

FAILURES = Asset(
    "dinky_orders_checkpointed_failures",
    watchers=[
        AssetWatcher(
            name="dinky_orders_checkpointed",
            trigger=JobStatusEventTrigger(DINKY_TASK, states=("FAILED",), poll_interval=10.0),
        )
    ],
)


def call_for_help(context):
    """Put your pager, chat or mail here."""
    logging.getLogger(__name__).error(
        "Dinky task %s needs a person: %s", DINKY_TASK, context.get("exception")
    )


with DAG(
    "dinky_repair_stream",
    schedule=FAILURES,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    max_active_runs=1,
    default_args={"on_failure_callback": call_for_help},
    tags=["dinky"],
    doc_md=__doc__,
):

    @task(inlets=[FAILURES])
    def not_too_often(*, inlet_events):
        since = datetime.now(timezone.utc) - WITHIN
        recent = [event for event in inlet_events[FAILURES] if event.timestamp > since]
        for event in recent:
            print(event.extra["payload"]["reason"])
        if len(recent) > AT_MOST:
            raise AirflowFailException(f"{len(recent)} failures within {WITHIN}: giving up")

    not_too_often() >> SubmitTaskOperator(
        task_id="start_again",
        dinky_task_id=DINKY_TASK,
        savepoint_path="latest-state",
        # Somebody may have been faster than this DAG.
        if_running="skip",
        wait_for="checkpointed",
        retries=2,
        inlets=[FAILURES],
    )
