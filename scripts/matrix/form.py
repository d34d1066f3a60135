# SPDX-License-Identifier: Apache-2.0
"""The connection form as Airflow's web page gets it: ``python -m matrix.form`` prints every problem on a line.

A process of its own: providers are loaded once, and differently for a command of Airflow 3.1 than for its web page.
Airflow 2.11 makes its page out of what ``airflow providers widgets`` shows, which :mod:`.provider` checks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import airflow

from airflow_provider_dinky.get_provider_info import (
    CONNECTION_TYPE,
    EXTRA_FIELDS,
    PLACEHOLDERS,
    RELABELING,
)
from matrix.airflow_command import be_strict

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))


def problems() -> Iterator[str]:
    """All of them."""
    if VERSION < (3, 0):
        return
    form = _form()
    extra, standard = form["extra_fields"] or {}, form["standard_fields"] or {}
    if VERSION == (3, 0):
        # Needs Airflow's provider for Flask AppBuilder; without it there are only the standard fields.
        if extra or standard:
            yield "Airflow 3.0 shows fields of this provider after all: the documents say that it does not"
        return
    if set(extra) != set(EXTRA_FIELDS):
        yield f"the form's own fields are {sorted(extra)}, not {sorted(EXTRA_FIELDS)}"
    for name, placeholder in PLACEHOLDERS.items():
        shown = standard.get("url_schema" if name == "schema" else name) or {}
        wanted = (RELABELING.get(name), placeholder)
        if (shown.get("title"), shown.get("placeholder")) != wanted:
            yield f"the form's field '{name}' is {shown}, not {wanted}"


def _form() -> dict[str, Any]:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    forms = HookMetaService.hook_meta_data()
    (form,) = (form for form in forms if form.connection_type == CONNECTION_TYPE)
    found: dict[str, Any] = form.model_dump(by_alias=False)
    return found


if __name__ == "__main__":
    be_strict()
    found = list(problems())
    print("\n".join(found))
    sys.exit(bool(found))
