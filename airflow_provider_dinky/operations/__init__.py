# SPDX-License-Identifier: Apache-2.0
"""Procedures: generators of calls that both clients run; they know nothing of Airflow."""
