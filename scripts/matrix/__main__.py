# SPDX-License-Identifier: Apache-2.0
"""``python -m matrix FOLDER``: everything that has to hold on this Airflow and this Python.

Says what it does line by line; what comes of it is in ``result.json`` in the folder, the logs are beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
SECONDS = 1800.0
"""After which a part is given up."""
RULES = ("tests/unit/client", "tests/unit/sandbox", "tests/unit/watcher")
"""Tests of what knows nothing of Airflow; what is not named here may differ from one Airflow to the other."""


def tests_of(airflow: str, python: Sequence[str]) -> tuple[str, ...]:
    """The tests that a leg runs, as pytest's arguments.

    All on the newest Airflow, for each of its Pythons, and on the oldest Python; on the others, which are in between,
    those of what touches Airflow.
    """
    if airflow.startswith("3.3.") or tuple(python[:2]) == ("3", "10"):
        return ("tests/unit", "tests/contract")
    return ("tests/unit", *(f"--ignore={folder}" for folder in RULES))


class Leg:
    """Runs the parts of a leg and keeps what comes of them.

    :param folder: for everything that is made; must be there and empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def run(self, part: str, *command: str) -> bool:
        """Run a part as a process with an Airflow home of its own, its output into a file."""
        log = self._folder / f"{part}.log"
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            try:
                code: int | str = subprocess.run(
                    [sys.executable, "-m", *command],
                    cwd=ROOT,
                    env={**os.environ, "AIRFLOW_HOME": str(self._folder / f"home-of-{part}")},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=SECONDS,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = f"nothing after {SECONDS:g} s"
        print(f"  {part}: {'ok' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s", flush=True)
        if code != 0:
            self.problems.append(f"{part}: {code}, see {log.relative_to(ROOT)}")
            print("".join(f"    {line}\n" for line in log.read_text(encoding="utf-8").splitlines()[-20:]))
        return code == 0

    def count_tests(self, report: Path) -> dict[str, int]:
        """How many tests passed, failed and were skipped; a skip is said aloud, with its reason."""
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        if report.exists():
            for case in ElementTree.parse(report).iter("testcase"):
                skipped = case.find("skipped")
                bad = case.find("failure") is not None or case.find("error") is not None
                counts["failed" if bad else "passed" if skipped is None else "skipped"] += 1
                if skipped is not None:
                    print(f"    skipped: {case.get('name')}: {skipped.get('message')}")
        return counts


def main() -> int:
    """Run the leg; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.resolve()
    began = time.monotonic()

    leg = Leg(folder)
    leg.run("provider", "matrix.provider")
    leg.run("form", "matrix.form")
    leg.run(
        "tests",
        *("pytest", *tests_of(version("apache-airflow"), platform.python_version_tuple())),
        *("-m", "not system and not model", "--numprocesses=2"),
        *(f"--junitxml={folder}/tests.xml", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=120"),
    )
    tests = leg.count_tests(folder / "tests.xml")
    examples_ran = leg.run("examples", "matrix.examples", str(folder / "examples"))
    result = {
        "airflow": version("apache-airflow"),
        "python": platform.python_version(),
        "tests": tests,
        "examples": "all" if examples_ran else "FAILED",
        "seconds": round(time.monotonic() - began),
        "problems": leg.problems,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    return 1 if leg.problems else 0


if __name__ == "__main__":
    sys.exit(main())
