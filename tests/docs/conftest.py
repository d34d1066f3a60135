# SPDX-License-Identifier: Apache-2.0
"""The project in this folder has tests of its own, which test_project.py runs in an Airflow of their own."""

collect_ignore = ["project"]
