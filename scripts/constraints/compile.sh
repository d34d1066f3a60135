#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the constraints files anew, one for each Airflow of the matrix and for all its Pythons:
#
#   bash scripts/constraints/compile.sh          all
#   bash scripts/constraints/compile.sh 3.1.8    one
#
# An old Airflow does not run with the newest of everything, so each takes its dependencies from the days after its own
# release. common-compat is the exception: this package needs a newer one than the first Airflows had. The result is kept
# as a file, because a date can be given to uv only, and only where the package index tells when a file was uploaded; a
# file means the same everywhere, to pip as well, and shows in a diff what a run was run with.
set -euo pipefail
# shellcheck source=SCRIPTDIR/../environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
cd "$root"
install_uv

until_day() {
    case "$1" in
        2.11.2) echo 2026-04-01 ;;
        3.0.6) echo 2025-09-15 ;;
        3.1.8) echo 2026-03-15 ;;
        3.2.2) echo 2026-06-01 ;;
        3.3.2) echo 2026-10-01 ;;
        *) die "no day is known for Airflow $1" ;;
    esac
}

[ $# -gt 0 ] || set -- 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
for version in "$@"; do
    day="$(until_day "$version")"
    file="scripts/constraints/airflow-$version.txt"
    {
        echo "# Made by scripts/constraints/compile.sh: Airflow $version and what was there on $day."
        echo "apache-airflow==$version" |
            uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
                --exclude-newer "$day" --exclude-newer-package "apache-airflow-providers-common-compat=2026-11-20" \
                --group dev pyproject.toml -
    } >"$work/tmp/constraints"
    mv "$work/tmp/constraints" "$file"
    echo "$file: $(grep -c == "$file") packages"
done
