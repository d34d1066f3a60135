# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel, looks into it, and installs it beside nothing but Airflow.

Run it with the Python of an environment that ``scripts/test.sh`` has made (it needs ``build`` and ``jsonschema``).
"""

from __future__ import annotations

import configparser
import json
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

_VALIDATE = f"""
import json, pathlib, sys
import airflow, {PACKAGE}, {PACKAGE}.get_provider_info as info
assert pathlib.Path({PACKAGE}.__file__).is_relative_to(sys.prefix), {PACKAGE}.__file__
schemas = pathlib.Path(airflow.__file__).parent
print(json.dumps([info.get_provider_info(), str(schemas)]))
"""
_IMPORT_ALL = f"""
import importlib, pkgutil, {PACKAGE}
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
    for check in (builds, wheel_is_complete, sdist_is_complete, installs_beside_airflow, is_a_provider, runs):
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


def sdist_is_complete() -> Iterator[str]:
    """Whoever builds from it has the tests, the examples and the documents."""
    with tarfile.open(_one("*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py")
    yield from (f"missing: {name}" for name in wanted if name not in names)
    if not any(name.startswith("example_dags/") for name in names):
        yield "missing: example_dags"


def installs_beside_airflow() -> Iterator[str]:
    """With the dependencies it declares and nothing else, all of it can be imported."""
    packages = (f"apache-airflow=={metadata.version('apache-airflow')}", str(_one("*.whl")))
    if shutil.which("uv"):
        _call("uv", "venv", "--quiet", "--python", sys.executable, str(_venv()))
        _call("uv", "pip", "install", "--quiet", "--python", str(_python()), *packages)
        _call("uv", "pip", "check", "--python", str(_python()))
    else:
        _call(sys.executable, "-m", "venv", str(_venv()))
        _call(str(_python()), "-m", "pip", "install", "--quiet", *packages)
        _call(str(_python()), "-m", "pip", "check")
    _call(str(_python()), "-c", _IMPORT_ALL)
    yield from ()


def is_a_provider() -> Iterator[str]:
    """Airflow finds it, and its manifest fits both schemas that Airflow ships."""
    import jsonschema

    info, folder = json.loads(_call(str(_python()), "-c", _VALIDATE).splitlines()[-1])
    for name in ("provider_info.schema.json", "provider.yaml.schema.json"):
        schema = json.loads((Path(folder) / name).read_text())
        validator = jsonschema.validators.validator_for(schema)(schema)
        yield from (f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(info))
    told = _call(str(_python()), "-m", "airflow", "providers", "get", NAME, "--full", "--output", "json")
    if NAME not in told:
        yield f"airflow providers get says: {told}"
    hooks = _call(str(_python()), "-m", "airflow", "providers", "hooks", "--output", "json")
    if f"{PACKAGE}.hooks.dinky.DinkyHook" not in hooks:
        yield "airflow providers hooks does not name the hook"


def runs() -> Iterator[str]:
    """The sandbox can be started."""
    if "--port" not in _call(str(_python()), "-m", f"{PACKAGE}.sandbox", "--help"):
        yield "its help says nothing of --port"


def _problems(check: Callable[[], Iterator[str]]) -> Iterator[str]:
    try:
        yield from check()
    except Exception as error:
        yield f"{type(error).__name__}: {error}"


def _call(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["AIRFLOW_HOME"] = str(WORK / "airflow")
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
