#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation into .work/site; a warning is an error:
#
#   bash scripts/docs.sh             about ten seconds after set-up
#   bash scripts/docs.sh --serve     and shows it at http://127.0.0.1:8000, built anew after each change
#
# Everything it makes is in .work of this folder.
set -euo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

# Read by fill and add: the tools need no Airflow, since the reference is made from the source as text.
# shellcheck disable=SC2034
base_python="$(find_python)" constraints=
venv="$work/venv-docs"
stamp="$(cat "$root/pyproject.toml" "$root/scripts/docs.sh" <(echo "$root") | cksum)"
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "Setting up the tools for the documentation: about 20 seconds, once"
    fill --group docs || die "the tools could not be installed"
    echo "$stamp" >"$venv/stamp"
fi

# Material tells of its maker's plans at each start.
export NO_MKDOCS_2_WARNING=1
if [ "${1:-}" = --serve ]; then
    exec "$venv/bin/python" -m mkdocs serve --dev-addr 127.0.0.1:8000
fi
"$venv/bin/python" -m mkdocs build --strict --clean
echo "The documentation is in ${work#"$root/"}/site: open index.html there"
