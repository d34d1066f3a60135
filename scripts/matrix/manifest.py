# SPDX-License-Identifier: Apache-2.0
"""The provider's manifest against the schemas that an Airflow ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMAS = ("provider_info.schema.json", "provider.yaml.schema.json")
"""What Airflow checks when it runs, and what its own providers are checked by."""


def problems(manifest: Mapping[str, Any], airflow_folder: Path) -> Iterator[str]:
    """What Airflow would not like about the manifest.

    :param airflow_folder: where the Python package ``airflow`` is installed.
    """
    import jsonschema

    for name in SCHEMAS:
        schema = json.loads((airflow_folder / name).read_text(encoding="utf-8"))
        # Airflow 2.11's own providers list their dependencies there; on later ones, none may.
        checked = {**manifest, "dependencies": []} if "dependencies" in schema["required"] else manifest
        validator = jsonschema.validators.validator_for(schema)(schema)
        for error in validator.iter_errors(checked):
            yield f"{name}: {error.json_path}: {error.message}"
