# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel, looks into it, installs it beside nothing but Airflow, and uses it there as others would.

Run it with the Python of an environment that ``scripts/test.sh`` has made (it needs ``build`` and ``mypy``).
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_dinky"
NAME = "airflow-provider-dinky"
WORK = ROOT / ".work" / "wheel"

_LICENCE = b"# SPDX-License-Identifier: Apache-2.0"
_IMPORT_ALL = f"""
import importlib, pathlib, pkgutil, sys, {PACKAGE}
assert pathlib.Path({PACKAGE}.__file__).is_relative_to(sys.prefix), {PACKAGE}.__file__
skipped = ("{PACKAGE}.sandbox.__main__", "{PACKAGE}.sandbox.pytest_plugin")
names = [m.name for m in pkgutil.walk_packages({PACKAGE}.__path__, "{PACKAGE}.")]
for name in names:
    if name not in skipped:
        importlib.import_module(name)
print(len(names), "modules")
"""


def main() -> int:
    """Run the checks; returns the exit code."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    passed = failed = 0
    for check in (
        builds,
        wheel_is_complete,
        sdist_is_complete,
        can_be_uploaded,
        installs_beside_airflow,
        is_a_provider,
        has_types,
        runs,
    ):
        problems = list(_problems(check))
        for line in problems or [""]:
            print(
                f"{'FAILED' if problems else 'ok    '} {check.__name__.replace('_', ' ')}  {line}".rstrip(),
                flush=True,
            )
        passed, failed = passed + (not problems), failed + bool(problems)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def builds() -> Iterator[str]:
    """The sdist, and the wheel out of that."""
    _call(sys.executable, "-m", "build", "--outdir", str(WORK), str(ROOT))
    yield from ()


def wheel_is_complete() -> Iterator[str]:
    """It has every file of the package, nothing else, and the right metadata."""
    with zipfile.ZipFile(_one("*.whl")) as wheel:
        names = set(wheel.namelist())
        texts = {
            name.partition(".dist-info/")[2]: wheel.read(name).decode()
            for name in names
            if ".dist-info/" in name
        }
    wanted = {
        str(file.relative_to(ROOT))
        for file in (ROOT / PACKAGE).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {name for name in names if ".dist-info/" not in name}
    yield from (f"missing: {name}" for name in sorted(wanted - packed))
    yield from (f"does not belong there: {name}" for name in sorted(packed - wanted))
    yield from (
        f"missing: {name}" for name in ("py.typed", "sandbox/page.html") if f"{PACKAGE}/{name}" not in names
    )
    about = Parser().parsestr(texts["METADATA"])
    if about["Name"] != NAME or about["License-Expression"] != "Apache-2.0" or not about.get_payload():
        yield f"metadata: {about['Name']}, {about['License-Expression']}"
    entries = configparser.ConfigParser()
    entries.read_string(texts["entry_points.txt"])
    entry = dict(entries["apache_airflow_provider"])
    if entry != {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"}:
        yield f"entry points: {entry}"
    if "Apache License" not in texts.get("licenses/LICENSE", ""):
        yield "the licence is missing"
    with zipfile.ZipFile(_one("*.whl")) as wheel:
        for name in sorted(packed):
            if name.endswith(".py") and not wheel.read(name).startswith(_LICENCE):
                yield f"does not say its licence: {name}"


def sdist_is_complete() -> Iterator[str]:
    """Whoever builds from it has the tests, the examples and the documents."""
    with tarfile.open(_one("*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = (
        *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
        *("PKG-INFO", "mkdocs.yml", "pyproject.toml", "tests/conftest.py"),
    )
    yield from (f"missing: {name}" for name in wanted if name not in names)
    tops = {name.partition("/")[0] for name in names if name}
    folders = {PACKAGE, "docs", "example_dags", "scripts", "tests"}
    yield from (f"missing: {name}" for name in sorted(folders - tops))
    strangers = tops - folders - set(wanted) - {".gitignore"}
    strangers |= {name for name in names if "__pycache__" in name or name.endswith((".log", ".db"))}
    yield from (f"does not belong there: {name}" for name in sorted(strangers))


def can_be_uploaded() -> Iterator[str]:
    """The package index would take both and show the README."""
    _make_environment(WORK / "twine", "twine>=6.1")
    files = (str(_one("*.tar.gz")), str(_one("*.whl")))
    _call(str(WORK / "twine" / "bin" / "python"), "-m", "twine", "check", "--strict", *files)
    yield from ()


def installs_beside_airflow() -> Iterator[str]:
    """With the dependencies it declares and nothing else, all of it can be imported."""
    _make_environment(_venv(), f"apache-airflow=={metadata.version('apache-airflow')}", str(_one("*.whl")))
    if shutil.which("uv"):
        _call("uv", "pip", "check", "--python", str(_python()))
    else:
        _call(str(_python()), "-m", "pip", "check")
    _call(str(_python()), "-c", _IMPORT_ALL)
    yield from ()


def is_a_provider() -> Iterator[str]:
    """Airflow finds it, its manifest fits both schemas that Airflow ships, and the connection has its form."""
    for module in ("matrix.provider", "matrix.form"):
        _call(str(_python()), "-m", module, PYTHONPATH=str(ROOT / "scripts"))
    yield from ()


def has_types() -> Iterator[str]:
    """A project that is checked with ``mypy --strict`` sees the types of all that it uses."""
    consumer = WORK / "consumer"
    shutil.copytree(ROOT / "scripts" / "consumer", consumer)
    _call(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(WORK / "mypy")),
        *("--python-executable", str(_python()), str(consumer)),
    )
    yield from ()


def runs() -> Iterator[str]:
    """The sandbox can be started."""
    if "--port" not in _call(str(_python()), "-m", f"{PACKAGE}.sandbox", "--help"):
        yield "its help says nothing of --port"


def _problems(check: Callable[[], Iterator[str]]) -> Iterator[str]:
    try:
        yield from check()
    except Exception as error:
        yield f"{type(error).__name__}: {error}"


def _make_environment(folder: Path, *packages: str) -> None:
    python = str(folder / "bin" / "python")
    if shutil.which("uv"):
        _call("uv", "venv", "--quiet", "--python", sys.executable, str(folder))
        _call("uv", "pip", "install", "--quiet", "--python", python, *packages)
    else:
        _call(sys.executable, "-m", "venv", str(folder))
        _call(python, "-m", "pip", "install", "--quiet", *packages)


def _call(*command: str, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"AIRFLOW_HOME": str(WORK / "airflow"), **more}
    # Not in the clone's folder: there, Python would find the sources first.
    done = subprocess.run(
        command,
        cwd=WORK,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {done.returncode}: {tail}")
    return done.stdout


def _one(pattern: str) -> Path:
    (file,) = WORK.glob(pattern)
    return file


def _venv() -> Path:
    return WORK / "venv"


def _python() -> Path:
    return _venv() / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main())
