#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests:
#
#   bash scripts/test.sh                       all of them; those on a real Flink only where Java 11 or 17 is
#   bash scripts/test.sh --fast                without those in a real Airflow, on a real Flink, and the random ones
#   bash scripts/test.sh tests/unit -k hook    what you would give to pytest
#
# All of them run in two processes: those in a real Airflow and on a real Flink in the one, which wait most of the time,
# the others beside them. What you name runs in one.
# Those in a real browser are apart: bash scripts/browser.sh
# Everything it makes is in .work of this folder.
set -euo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

arguments=()
where=(tests --ignore=tests/browser)
what=()
for argument in "$@"; do
    if [ "$argument" = --fast ]; then
        what=(-m "not system and not flink and not model")
        continue
    fi
    [ ! -e "${argument%%::*}" ] || where=()
    arguments+=("$argument")
done

started=$SECONDS
prepare_environment dev
[ $((SECONDS - started)) -lt 3 ] || echo "Set up in $((SECONDS - started)) s"
if [ ${#where[@]} -gt 0 ]; then
    arguments=(--numprocesses=2 --dist=loadgroup ${arguments[@]+"${arguments[@]}"})
    [ ${#what[@]} -gt 0 ] || echo "All tests: about 20 minutes, a good part on a real Flink (--fast: about three)"
fi
# The odd spelling is for bash 3.2 (macOS), to which an empty array is an unset variable.
exec "$venv/bin/python" -m pytest ${where[@]+"${where[@]}"} ${what[@]+"${what[@]}"} ${arguments[@]+"${arguments[@]}"}
