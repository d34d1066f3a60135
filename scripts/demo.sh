#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the example DAGs in a real Airflow, against a sandbox that behaves like Dinky:
#
#   bash scripts/demo.sh            a minute and a half after set-up; exit code 0 if all went as it should
#   bash scripts/demo.sh --ui       the same, and then stays up with Airflow's web page
#   bash scripts/demo.sh --flink    the jobs run on a real Flink, which needs Java 11 or 17; installed once, 0.3 GB
#
# Against your own Dinky; says first what it will do there:
#
#   DINKY_URL=http://dinky:8888 DINKY_TASK_ID=12 bash scripts/demo.sh
#
# with DINKY_USER and DINKY_PASSWORD, or DINKY_TOKEN, to sign in; DINKY_TENANT_ID for another tenant than 1.
#
# Everything it makes is in .work of this folder.
set -euo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

started=$SECONDS
prepare_environment
[ $((SECONDS - started)) -lt 3 ] || echo "Set up in $((SECONDS - started)) s"
echo "The demo takes a minute or two; Ctrl-C ends it and everything it has started"
PYTHONPATH="$root/scripts" exec "$venv/bin/python" -m airflow_demo "$@"
