# SPDX-License-Identifier: Apache-2.0
"""The operators: start, restart and cancel the job of a Dinky task, take its savepoint, check its SQL."""

from __future__ import annotations

from airflow_provider_dinky.operators.explain import ExplainTaskOperator
from airflow_provider_dinky.operators.restart import RestartTaskOperator
from airflow_provider_dinky.operators.stopping import CancelTaskOperator, SavepointTaskOperator
from airflow_provider_dinky.operators.submit import SubmitTaskOperator

__all__ = [
    "CancelTaskOperator",
    "ExplainTaskOperator",
    "RestartTaskOperator",
    "SavepointTaskOperator",
    "SubmitTaskOperator",
]
