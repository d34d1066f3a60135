# SPDX-License-Identifier: Apache-2.0
"""What a job reads and writes, for OpenLineage; only imported where that provider asks for it.

Dinky tells it to authenticated users, by job instance: ``/openapi/getTaskLineage`` answers null for every task in Flink
SQL. Where the SQL names a connector, a table has the name that OpenLineage's rules give it, so that it is the same
dataset whoever reads it; else Flink's name in the namespace of this Dinky.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.retry import HASTY
from airflow_provider_dinky.tasks.table_locations import Location, location_of, locations

if TYPE_CHECKING:
    from airflow_provider_dinky.client.blocking import DinkyClient
    from airflow_provider_dinky.client.models import Lineage
    from airflow_provider_dinky.followed import FollowedJob

PATIENCE = 10.0
"""Seconds that lineage is worth waiting for: the task itself has been done."""


def operator_lineage(
    client: DinkyClient, job: FollowedJob | None, *, with_sql: bool, has_failed: bool = False
) -> Any:
    """Inputs, outputs and the Flink job, as OpenLineage's ``OperatorLineage``; what is not known is left out.

    Anonymous only Flink's id of the job: no way is known there to ask for the tables.

    :param client: the operator's, since another sign-in would end its session.
    :param job: the followed job; None if there is none.
    :param with_sql: whether the SQL is reported too, secrets masked.
    :param has_failed: nothing is known to have been read or written, and nobody is asked.
    """
    from airflow.providers.common.compat.openlineage.facet import ExternalQueryRunFacet, SQLJobFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    config = client.config
    namespace = f"dinky://{urlsplit(config.base_url).netloc}"
    run_facets: dict[str, Any] = {}
    job_facets: dict[str, Any] = {}
    if job is not None and job.job_id:
        run_facets["externalQuery"] = ExternalQueryRunFacet(externalQueryId=job.job_id, source=namespace)
    if job is None or has_failed:
        return OperatorLineage(run_facets=run_facets)
    lineage, sql = _asked(client, job, with_sql)
    if sql and with_sql:
        job_facets["sql"] = SQLJobFacet(query=config.redact(sql))
    inputs, outputs = _datasets(lineage, locations(sql or ""), namespace) if lineage else ([], [])
    return OperatorLineage(inputs=inputs, outputs=outputs, run_facets=run_facets, job_facets=job_facets)


def _asked(client: DinkyClient, job: FollowedJob, with_sql: bool) -> tuple[Lineage | None, str | None]:
    """The lineage of the job and its SQL; None for what cannot be had."""
    config = client.config
    lineage, sql = None, None
    patience = replace(config, read_timeout=min(config.read_timeout, PATIENCE))
    with client.with_patience(patience, HASTY) as hasty:
        if not config.has_credentials:
            if with_sql and job.dinky_task_id is not None:
                with suppress(DinkyError):
                    sql = hasty.send(calls.export_sql(job.dinky_task_id))
            return None, sql
        with suppress(DinkyError):
            lineage = hasty.send(calls.get_job_lineage(job.job_instance_id))
        if with_sql or lineage is not None:
            with suppress(DinkyError):
                history = hasty.send(calls.get_job_info_detail(job.job_instance_id)).history
                sql = history.statement if history is not None else None
    return lineage, sql


def _datasets(lineage: Lineage, known: Mapping[str, Location], namespace: str) -> tuple[list[Any], list[Any]]:
    """What is read and what is written, in Dinky's order; a table between two others is both."""
    from airflow.providers.common.compat.openlineage.facet import (
        ColumnLineageDatasetFacet,
        Dataset,
        Fields,
        InputField,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    tables = [table for table in lineage.tables if isinstance(table, dict) and table.get("name")]
    relations = [relation for relation in lineage.relations if isinstance(relation, dict)]
    where = {
        str(table.get("id")): location_of(str(table["name"]), known)
        or Location(namespace, str(table["name"]))
        for table in tables
    }

    def column_lineage(target: str) -> dict[str, Any]:
        fields: dict[str, list[Any]] = {}
        for relation in relations:
            source = where.get(str(relation.get("srcTableId")))
            written, read = relation.get("tgtTableColName"), relation.get("srcTableColName")
            if source is not None and str(relation.get("tgtTableId")) == target and written and read:
                fields.setdefault(str(written), []).append(
                    InputField(namespace=source.namespace, name=source.name, field=str(read))
                )
        return {
            name: Fields(inputFields=inputs, transformationType="", transformationDescription="")
            for name, inputs in fields.items()
        }

    def dataset(table: Mapping[str, Any], is_written: bool) -> Any:
        table_id = str(table.get("id"))
        facets: dict[str, Any] = {}
        columns = [column.get("name") for column in table.get("columns") or () if isinstance(column, dict)]
        if any(columns):
            facets["schema"] = SchemaDatasetFacet(
                fields=[SchemaDatasetFacetFields(name=str(name)) for name in columns if name]
            )
        if is_written and (fields := column_lineage(table_id)):
            facets["columnLineage"] = ColumnLineageDatasetFacet(fields=fields)
        return Dataset(namespace=where[table_id].namespace, name=where[table_id].name, facets=facets)

    def those_in(end: str) -> Callable[[Mapping[str, Any]], bool]:
        ids = {str(relation[end]) for relation in relations if relation.get(end)}
        return lambda table: str(table.get("id")) in ids

    read, written = those_in("srcTableId"), those_in("tgtTableId")
    return (
        [dataset(table, False) for table in tables if read(table)],
        [dataset(table, True) for table in tables if written(table)],
    )
