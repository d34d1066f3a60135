#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs what has to hold on every supported Airflow and Python: provider and form, tests, examples. The newest Airflow and
# the oldest Python run all unit and contract tests, the others those of what touches Airflow.
#
#   bash scripts/matrix.sh                    all legs, two at a time
#   bash scripts/matrix.sh 2.11               those of one Airflow
#   bash scripts/matrix.sh 3.3.2-py3.13       one leg
#   bash scripts/matrix.sh --diagonal         every Airflow and every Python once, which is what CI has the time for
#   bash scripts/matrix.sh --one-at-a-time    on a machine that has more to do
#
# What came of it is in .work/matrix: matrix.md, matrix.json, and a folder with the logs of each leg.
set -uo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root" || exit 1

# The newest patch of each Airflow, and the Pythons it supports: the one it is to be run with, then those that may stand
# in for it on a machine without that one. The diagonal: every Airflow and every Python once. Few machines have Python
# 3.14 yet: without it its leg is skipped.
diagonal=(
    "2.11.2 3.10 3.11 3.12"
    "3.0.6 3.11 3.12 3.10"
    "3.1.8 3.12 3.11 3.13 3.10"
    "3.2.2 3.13 3.12 3.11 3.10"
    "3.3.2 3.13 3.12 3.11 3.10"
    "3.3.2 3.14"
)
# The oldest and the newest Airflow at their other end.
other_ends=(
    "2.11.2 3.12 3.11 3.10"
    "3.3.2 3.10 3.11 3.12 3.13"
)
supported=("${diagonal[@]}" "${other_ends[@]}")
at_once=2
wanted_leg=
for argument in "$@"; do
    case "$argument" in
        --diagonal) supported=("${diagonal[@]}") ;;
        --one-at-a-time) at_once=1 ;;
        -*) die "unknown option $argument; see the first lines of scripts/matrix.sh" ;;
        *) wanted_leg="$argument" ;;
    esac
done

# interpreter VERSION: the path of a Python of that version, from PATH or from where pyenv keeps them.
interpreter() {
    local candidate pyenv_root="${PYENV_ROOT:-${HOME:-}/.pyenv}"
    command -v pyenv >/dev/null && pyenv_root="$(pyenv root)"
    for candidate in "python$1" python3 python "$pyenv_root/versions/$1".*/bin/python3; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# set_up AIRFLOW PYTHON LEG, in a shell of its own: prints the Python of the leg's environment, and to the error output
# what it does.
set_up() (
    groups=()
    # Lineage is tried on the newest of them.
    [ "$1" != 3.3.2 ] || groups=(--group openlineage)
    # All are read by prepare_environment.
    # shellcheck disable=SC2034
    airflow_version="$1" PYTHON="$2" more_groups=(${groups[@]+"${groups[@]}"})
    prepare_environment dev >&2
    echo "$venv/bin/python"
)

install_uv
report="$work/matrix"
rm -rf "$report"
legs=()
pythons=()
for line in "${supported[@]}"; do
    read -r airflow wanted others <<<"$line"
    if [[ "$airflow-py$wanted" != "$wanted_leg"* ]]; then continue; fi
    python=
    # Words on purpose.
    # shellcheck disable=SC2086
    for version in $wanted $others; do
        python="$(interpreter "$version")" && break
    done
    if [ -z "$python" ]; then
        [ "$wanted" = 3.14 ] || die "Airflow $airflow needs one of Python $wanted $others; none was found"
        echo "Airflow $airflow on Python $wanted is skipped: there is no Python $wanted here"
        continue
    fi
    leg="$airflow-py$version"
    [ "$version" = "$wanted" ] || echo "Airflow $airflow: Python $version stands in for Python $wanted, which is not there"
    if [[ " ${legs[*]-} " = *" $leg "* ]]; then
        echo "Airflow $airflow on Python $version is among them already"
        continue
    fi
    legs+=("$leg")
    # Without one the table says that the leg did not come to its end.
    python="$(set_up "$airflow" "$python" "$leg" </dev/null)" && pythons+=("$leg=$python")
done
[ ${#legs[@]} -gt 0 ] || die "there is no leg $wanted_leg"
echo "${#legs[@]} legs, $at_once at a time, one to four minutes each"
export PYTHONPATH="$root/scripts"
"$(find_python)" -m matrix.legs "$report" "$at_once" ${pythons[@]+"${pythons[@]}"}
echo
exec "$(find_python)" -m matrix.table "$report" "${legs[@]}"
