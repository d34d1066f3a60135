# SPDX-License-Identifier: Apache-2.0
"""Dinky's HTTP API as typed calls. Nothing here knows Airflow.

``calls`` says what can be asked, ``models`` what comes back, ``blocking`` and ``aio`` do the talking.
"""
