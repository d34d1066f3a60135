# SPDX-License-Identifier: Apache-2.0
"""What the tests of these DAGs share."""

pytest_plugins = ["airflow_provider_dinky.sandbox.pytest_plugin"]
