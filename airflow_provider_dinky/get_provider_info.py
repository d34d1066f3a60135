# SPDX-License-Identifier: Apache-2.0
"""The manifest Airflow reads, and the one definition of the connection form. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky import __version__

CONNECTION_TYPE = "dinky"
DEFAULT_CONNECTION = "dinky_default"
DEFAULT_PORT = 8888

RELABELING = {
    "schema": "Scheme",
    "login": "User",
    "password": "Password or token",
}
PLACEHOLDERS = {
    "host": "dinky.example.com",
    "port": str(DEFAULT_PORT),
    "schema": "http (or https)",
    "login": "leave empty for anonymous use, or for a token",
    "password": "the user's password, or a token issued in Dinky",
}
HIDDEN_FIELDS: list[str] = []

EXTRA_FIELDS: dict[str, dict[str, Any]] = {
    "tenant_id": {
        "label": "Tenant id",
        "description": "Dinky's id of the tenant to work in.",
        "schema": {"type": ["integer", "null"], "minimum": 1, "default": 1},
    },
    "connect_timeout": {
        "label": "Connect time-out (s)",
        "description": "Seconds to wait for a connection.",
        "schema": {"type": ["number", "null"], "default": 5},
    },
    "read_timeout": {
        "label": "Read time-out (s)",
        "description": "Seconds to wait for an answer.",
        "schema": {"type": ["number", "null"], "default": 60},
    },
    "submit_timeout": {
        "label": "Submit time-out (s)",
        "description": "Seconds to wait for the answer of a submit; on YARN or Kubernetes it takes minutes.",
        "schema": {"type": ["number", "null"], "default": 300},
    },
    "savepoint_timeout": {
        "label": "Savepoint time-out (s)",
        "description": "Seconds to wait for a savepoint, or for a restart, which takes one.",
        "schema": {"type": ["number", "null"], "default": 600},
    },
    "headers": {
        "label": "Headers",
        "description": "JSON object of headers sent with each request to Dinky, for a gateway before it; secret.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "verify": {
        "label": "Verify TLS certificate",
        "description": "Whether the server's certificate is checked (with scheme https).",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "Path, on workers and triggerers, of a file of CA certificates to check against.",
        "schema": {"type": ["string", "null"]},
    },
    "allow_flink_rest": {
        "label": "Ask Flink directly",
        "description": "Whether Flink's own REST API may be asked why a job failed, where Dinky does not tell.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "trust_env": {
        "label": "Use proxy settings of the environment",
        "description": "Whether HTTP_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and the like count.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
}

_INTEGRATION = "Dinky"


def get_provider_info() -> dict[str, Any]:
    """What this provider adds to Airflow; read through the ``apache_airflow_provider`` entry point."""
    return {
        "package-name": "airflow-provider-dinky",
        "name": "Dinky",
        "description": "`Dinky <https://www.dinky.org.cn/>`__: run, follow and restart Flink SQL jobs.",
        "state": "ready",
        "source-date-epoch": 0,
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.dinky.org.cn/",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks"),
        "operators": _modules("operators"),
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers"),
        "extra-links": [
            "airflow_provider_dinky.links.dinky.DinkyJobLink",
            "airflow_provider_dinky.links.dinky.FlinkJobLink",
        ],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "airflow_provider_dinky.hooks.dinky.DinkyHook",
                "hook-name": "Dinky",
                "ui-field-behaviour": {
                    "hidden-fields": HIDDEN_FIELDS,
                    "relabeling": RELABELING,
                    "placeholders": PLACEHOLDERS,
                },
                "conn-fields": EXTRA_FIELDS,
            }
        ],
    }


def _modules(package: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": _INTEGRATION,
            "python-modules": [f"airflow_provider_dinky.{package}.dinky"],
        }
    ]
