# SPDX-License-Identifier: Apache-2.0
"""Flink's programs in an environment of their own, made once for each user and Python.

``apache-flink-libraries`` on PyPI holds Flink's jars: a whole Flink. ``py4j`` is how Python talks to them. The much
larger ``apache-flink`` is not needed (it is for jobs written in Python).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import FlinkUnavailable

FLINK_VERSION = "1.20.3"
PACKAGES = (f"apache-flink-libraries=={FLINK_VERSION}", "py4j==0.10.9.7")
CACHE_VARIABLE = "DINKY_SANDBOX_CACHE"
_INSTALL_SECONDS = 1800.0


@dataclass(frozen=True)
class FlinkEnvironment:
    """An environment with Flink in it: ``folder`` is its root."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def cluster_jars(self) -> list[Path]:
        """What job manager and task manager need."""
        return self._jars("lib/*.jar")

    @property
    def client_jars(self) -> list[Path]:
        """What submitting SQL needs: the same, and the gateway that py4j talks to."""
        return [*self.cluster_jars, *self._jars("opt/flink-python-*.jar")]

    def _jars(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(f"lib/python3*/site-packages/pyflink/{pattern}"))


def cache_folder() -> Path:
    """Return where environments are kept: ``DINKY_SANDBOX_CACHE``, or a folder in the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser().resolve() / "airflow-provider-dinky"


def prepare(
    cache: str | Path | None = None, tell: Callable[[str], None] = lambda line: None
) -> FlinkEnvironment:
    """Return the environment, made first if it is not there; two at once make it once.

    :param cache: folder to keep it in; :func:`cache_folder` without.
    :param tell: called with one line when it has to be made.
    :raises FlinkUnavailable: it could not be made, for instance without a network.
    """
    folder = Path(cache).resolve() if cache else cache_folder()
    name = f"flink-{FLINK_VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    environment, complete = FlinkEnvironment(folder / name), folder / name / "complete"
    if complete.exists():
        return environment
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{name}.lock"):
            if not complete.exists():
                tell(f"Installing Flink {FLINK_VERSION} in {environment.folder}: about half a minute, once")
                _install(environment)
                complete.touch()
    except OSError as error:
        raise FlinkUnavailable(f"Flink could not be installed in {folder}: {error}") from error
    return environment


def _install(environment: FlinkEnvironment) -> None:
    shutil.rmtree(environment.folder, ignore_errors=True)
    _run(
        "no environment for Flink could be made (on Debian and Ubuntu: apt install python3-venv)",
        *(sys.executable, "-m", "venv", str(environment.folder)),
    )
    _run(
        f"Flink {FLINK_VERSION} could not be installed from PyPI (is there a network?)",
        *(str(environment.python), "-m", "pip", "install", "--quiet", "--no-input"),
        *("--disable-pip-version-check", *PACKAGES),
    )
    if not environment.cluster_jars:
        raise FlinkUnavailable(f"no jars of Flink in {environment.folder}")


def _run(failed: str, *command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise FlinkUnavailable(f"{failed}: it took longer than {_INSTALL_SECONDS:g} s") from None
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise FlinkUnavailable(f"{failed}: {said}")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
