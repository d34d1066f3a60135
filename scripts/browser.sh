#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Looks at Airflow's web pages in a real browser: connection form and its Test button, grid, links, log.
#
#   bash scripts/browser.sh                                the tests
#   DINKY_SCREENSHOTS=docs/images bash scripts/browser.sh  and takes the pictures of the docs anew
#   AIRFLOW_VERSION=2.11.2 bash scripts/browser.sh         the connection form of Airflow 2
#
# Needs Chromium; on Debian and Ubuntu, as root, it is installed if it is missing.
set -euo pipefail
# shellcheck source=SCRIPTDIR/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

if ! command -v chromium chromium-browser google-chrome >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing Chromium"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            chromium fonts-dejavu-core; } >/dev/null || die "Chromium could not be installed"
    else
        die "there is no Chromium here; install it, for instance with: sudo apt-get install chromium"
    fi
fi
# Read by prepare_environment: lineage has no page.
# shellcheck disable=SC2034
more_groups=()
prepare_environment dev
# Read by add.
# shellcheck disable=SC2034
constraints="$root/scripts/constraints/airflow-$airflow_version.txt"
add "apache-airflow==$airflow_version" --group browser || die "Playwright could not be installed"
exec "$venv/bin/python" -m pytest tests/browser "$@"
