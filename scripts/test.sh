#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests:
#
#   bash scripts/test.sh                       those of every part, and the essential ones in a real Airflow
#   bash scripts/test.sh --all                 all of them; those on a real Flink only where Java 11 or 17 is
#   bash scripts/test.sh tests/unit -k hook    what you would give to pytest
#
# They run in four processes, on two cores as well: most of them wait for a server or a thread. What you name runs in one.
# Those in a real browser are apart: bash scripts/browser.sh
# Everything it makes is in .work of this folder.
set -euo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

arguments=()
where=(tests --ignore=tests/browser)
what=(-m "not flink and (not system or essential)")
for argument in "$@"; do
    if [ "$argument" = --all ]; then
        what=()
        # For each of the two models: 2,000 random interleavings in all, not 300.
        export DINKY_MODEL_EXAMPLES="${DINKY_MODEL_EXAMPLES:-1000}"
        continue
    fi
    [ ! -e "${argument%%::*}" ] || where=()
    arguments+=("$argument")
done

started=$SECONDS
prepare_environment dev
[ $((SECONDS - started)) -lt 3 ] || echo "Set up in $((SECONDS - started)) s"
if [ ${#where[@]} -gt 0 ]; then
    if [ ${#what[@]} -gt 0 ]; then
        echo "Left out, and run by --all: most crashes, time-outs and examples in a real Airflow; a real Flink; 1,700 of" \
            "2,000 random interleavings"
    fi
    set -- --numprocesses=4 --dist=loadgroup "${where[@]}" ${what[@]+"${what[@]}"}
else
    set --
fi
# The odd spelling is for bash 3.2 (macOS), to which an empty array is an unset variable.
exec "$venv/bin/python" -m pytest "$@" ${arguments[@]+"${arguments[@]}"}
