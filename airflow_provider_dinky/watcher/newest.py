# SPDX-License-Identifier: Apache-2.0
"""The newest runs of many tasks in as few requests as it takes."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.aio import AsyncDinkyClient
from airflow_provider_dinky.client.calls import Answer, ApiCall
from airflow_provider_dinky.client.models import JobInstance

Page = tuple[bool, dict[int, JobInstance]]
"""Whether it is the last one, and the runs of the wanted tasks in it, by task."""


async def newest_runs(client: AsyncDinkyClient, wanted: Collection[int]) -> dict[int, JobInstance]:
    """The newest run of each wanted task; a task that Dinky does not list is missing.

    :raises DinkyError: a page could not be had.
    """
    found: dict[int, JobInstance] = {}
    for number in itertools.count(1):
        is_last, runs = await client.send(_page(number, wanted))
        found |= runs
        if is_last or len(found) == len(wanted):
            break
    return found


def _page(number: int, wanted: Collection[int]) -> ApiCall[Page]:
    call = calls.list_latest_job_instances(calls.PAGE_SIZE)
    return ApiCall(
        call.what,
        call.method,
        call.path,
        lambda answer: _read(answer, number, wanted),
        json={**call.json, "current": number},
        bare=call.bare,
    )


def _read(answer: Answer, number: int, wanted: Collection[int]) -> Page:
    page: Any = answer.data if isinstance(answer.data, dict) else {"data": answer.data}
    rows = page.get("data") or []
    if not isinstance(rows, list):
        raise ValueError(f"expected a list, got {type(rows).__name__}")
    runs: dict[int, JobInstance] = {}
    for row in rows:
        # The others are not read at all: a server may have thousands.
        if isinstance(row, dict) and row.get("taskId") in wanted:
            with suppress(ValidationError):
                runs.setdefault(row["taskId"], JobInstance.model_validate(row))
    total = page.get("total")
    is_last = len(rows) < calls.PAGE_SIZE or (isinstance(total, int) and number * calls.PAGE_SIZE >= total)
    return is_last, runs
