# SPDX-License-Identifier: Apache-2.0
"""The example DAGs in a real Airflow, against a sandbox or one's own Dinky; used by the demo and the system tests."""
