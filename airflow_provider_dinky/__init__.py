# SPDX-License-Identifier: Apache-2.0
"""Airflow provider for Dinky, the platform on which teams write, deploy and watch Flink SQL jobs."""

__version__ = "0.1.0"
