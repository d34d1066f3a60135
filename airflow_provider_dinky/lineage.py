# SPDX-License-Identifier: Apache-2.0
"""What a Dinky task reads and writes, for OpenLineage; only imported where that provider asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.retry import HASTY

if TYPE_CHECKING:
    from airflow_provider_dinky.client.blocking import DinkyClient
    from airflow_provider_dinky.client.models import Lineage
    from airflow_provider_dinky.followed import FollowedJob

PATIENCE = 10.0
"""Seconds that lineage is worth waiting for: the task itself has been done."""


def operator_lineage(client: DinkyClient, job: FollowedJob, *, with_sql: bool) -> Any:
    """Inputs, outputs and the Flink job of a Dinky task, as OpenLineage's ``OperatorLineage``.

    None where Dinky tells none, or does not answer. The SQL is left out where only that cannot be had.

    :param client: the operator's, since another sign-in would end its session.
    :param with_sql: whether the task's SQL is reported too, secrets masked.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset, ExternalQueryRunFacet, SQLJobFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    if job.dinky_task_id is None:
        return None
    config = client.config
    try:
        with client.with_patience(
            replace(config, read_timeout=min(config.read_timeout, PATIENCE)), HASTY
        ) as hasty:
            lineage = hasty.send(calls.get_task_lineage(job.dinky_task_id))
            sql = _sql(hasty, job.dinky_task_id) if with_sql and lineage is not None else None
    except DinkyError:
        return None
    if lineage is None:
        return None
    namespace = f"dinky://{urlsplit(config.base_url).netloc}"
    inputs, outputs = _tables(lineage)
    run_facets: dict[str, Any] = {}
    if job.job_id:
        run_facets["externalQuery"] = ExternalQueryRunFacet(externalQueryId=job.job_id, source=namespace)
    job_facets: dict[str, Any] = {}
    if sql:
        job_facets["sql"] = SQLJobFacet(query=config.redact(sql))
    return OperatorLineage(
        inputs=[Dataset(namespace=namespace, name=name) for name in inputs],
        outputs=[Dataset(namespace=namespace, name=name) for name in outputs],
        run_facets=run_facets,
        job_facets=job_facets,
    )


def _sql(client: DinkyClient, dinky_task_id: int) -> str | None:
    """The task's SQL, or None if it cannot be had; signed in from where no tenant is forgotten."""
    with suppress(DinkyError):
        if client.config.has_credentials:
            return client.send(calls.get_task(dinky_task_id)).statement
        return client.send(calls.export_sql(dinky_task_id))
    return None


def _tables(lineage: Lineage) -> tuple[list[str], list[str]]:
    """The names of what is read and of what is written, in Dinky's order; a table between two others is both."""
    relations = [relation for relation in lineage.relations if isinstance(relation, dict)]
    sources = {str(relation["srcTableId"]) for relation in relations if relation.get("srcTableId")}
    targets = {str(relation["tgtTableId"]) for relation in relations if relation.get("tgtTableId")}
    tables = [table for table in lineage.tables if isinstance(table, dict) and table.get("name")]

    def names(ids: Iterable[str]) -> list[str]:
        return [str(table["name"]) for table in tables if str(table.get("id")) in ids]

    return names(sources), names(targets)
