# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: a Python environment with Airflow and this package, in the clone's own .work folder.
#
# AIRFLOW_VERSION chooses another Airflow, PYTHON another interpreter; each combination has its own environment.
# shellcheck shell=bash

airflow_version="${AIRFLOW_VERSION:-3.3.2}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work="$root/.work"

# Whatever runs from here on keeps its caches and settings in the clone.
mkdir -p "$work/cache" "$work/tmp"
export XDG_CACHE_HOME="$work/cache" PIP_CACHE_DIR="$work/cache/pip" UV_CACHE_DIR="$work/cache/uv"
export UV_PYTHON_INSTALL_DIR="$work/cache/uv-python" TMPDIR="$work/tmp"
# uv is to trust whom the system trusts, as pip does.
export UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}"
export AIRFLOW_HOME="$work/airflow" PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
# Each process of Airflow imports some thousand modules, and a run starts dozens of processes: without its cache of
# compiled modules, which some machines switch off, Python spends more time on compiling them than on the tests.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$work/cache/pycache"
# pip asks rustc for its version, and rustup's rustc would make a folder at home to answer.
[ -e "${RUSTUP_HOME:-${HOME:-/nonexistent}/.rustup}" ] || export RUSTUP_HOME="$work/cache/rustup"

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# install_uv: makes the command uv available, from $work if the machine has none.
install_uv() {
    command -v uv >/dev/null && return
    if [ ! -x "$work/bin/uv" ]; then
        "$(find_python)" -m venv --clear "$work/uv" >/dev/null || die "no environment for uv could be made"
        "$work/uv/bin/python" -m pip install --quiet --no-input "uv>=0.9" || die "uv could not be installed"
        # A folder of its own: the environment's python is not to be found instead of the machine's.
        mkdir -p "$work/bin"
        ln -sf ../uv/bin/uv "$work/bin/uv"
    fi
    PATH="$work/bin:$PATH"
}

find_python() {
    local candidate newest=13
    # The Airflows before 3.3 cannot be installed with it.
    [[ "$airflow_version" != 3.3.* ]] || newest=14
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13 python3.10 python3.14 python; do
        if "$candidate" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        [ "$candidate" != "${PYTHON:-}" ] || die "PYTHON=$PYTHON is no Python 3.10 to 3.$newest"
    done
    die "no Python 3.10 to 3.$newest found; name one with PYTHON=/path/to/python3"
}

# fill PACKAGES...: makes $venv with these packages. With uv if that is there, which is quick; with pip if not, or if uv
# cannot do it (it knows nothing of pip's configuration, such as another package index).
fill() {
    rm -rf "$venv" "$PYTHONPYCACHEPREFIX$venv"
    if command -v uv >/dev/null; then
        if uv venv --quiet --python "$base_python" "$venv" && add "$@"; then return; fi
        echo "uv could not do it; once more with pip"
        rm -rf "$venv"
    fi
    "$base_python" -m venv "$venv" >/dev/null ||
        die "$base_python cannot make environments; on Debian and Ubuntu: apt install python3-venv"
    # --group, for the tools of the tests, came with pip 25.1.
    add --upgrade "pip>=25.1" && add "$@"
}

# add PACKAGES...: to $venv, with what has made it; in the versions that are known to work with this Airflow.
add() {
    [ ! -e "$constraints" ] || set -- --constraint "$constraints" "$@"
    if [ -e "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip install --quiet --no-input --progress-bar off "$@"
    else
        uv pip install --quiet --python "$venv/bin/python" "$@"
    fi
}

# What else the tests may use, as pip's options (--group NAME); a script may add to it.
more_groups=(--group openlineage)

# prepare_environment [dev]: sets $venv; with "dev" the tools of pyproject.toml's group of that name are in it too.
prepare_environment() {
    local base_python stamp kind="${1:-base}" constraints="$root/scripts/constraints/airflow-$airflow_version.txt"
    base_python="$(find_python)"
    venv="$work/venv-airflow-$airflow_version-py$("$base_python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    # The path is part of it: an environment does not survive that its clone is moved.
    stamp="$(cat "$root/pyproject.toml" "$root/scripts/environment.sh" "$constraints" <(echo "$root") 2>/dev/null | cksum)"
    if [ "$(cat "$venv/stamp-base" 2>/dev/null)" != "$stamp" ]; then
        echo "Setting up Airflow $airflow_version in ${venv#"$root/"}: 1 to 3 minutes, once"
        fill "apache-airflow==$airflow_version" --editable "$root" || die "Airflow could not be installed"
        echo "$stamp" >"$venv/stamp-base"
    fi
    if [ "$kind" = dev ] && [ "$(cat "$venv/stamp-dev" 2>/dev/null)" != "$stamp" ]; then
        echo "Adding the tools for the tests: about 20 seconds, once"
        (cd "$root" && add "apache-airflow==$airflow_version" --group dev ${more_groups[@]+"${more_groups[@]}"}) ||
            die "the tools could not be installed"
        echo "$stamp" >"$venv/stamp-dev"
    fi
}
