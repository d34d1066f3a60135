# SPDX-License-Identifier: Apache-2.0
"""The versions that a report of a problem needs: ``python -m airflow_provider_dinky.diagnostics`` prints them."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "airflow-provider-dinky",
    "apache-airflow",
    "apache-airflow-providers-common-compat",
    "aiohttp",
    "pydantic",
    "requests",
    "tenacity",
)


def versions() -> str:
    """Versions of everything that has a part in a call, on one line; nothing of connections or hosts."""
    return ", ".join([*map(_version, PACKAGES), f"Python {platform.python_version()}", platform.system()])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} missing"


if __name__ == "__main__":
    sys.stdout.write(versions() + "\n")
