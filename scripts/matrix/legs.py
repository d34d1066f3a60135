# SPDX-License-Identifier: Apache-2.0
"""``python -m matrix.legs FOLDER N LEG=PYTHON...``: run the legs, N at a time, each with the Python of its environment.

What a leg says is printed when it has ended, so that two do not speak at once. The exit code says nothing of the legs:
what came of them is in their folders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path


def run(folder: Path, python: str) -> str:
    """Run a leg; returns what it has said, with how long it took."""
    began = time.monotonic()
    folder.mkdir(parents=True)
    # Nothing of the caller's Airflow, and nothing of another leg's.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    said = subprocess.run(
        [python, "-m", "matrix", str(folder)],
        env=mine,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    return f"{said}  {time.monotonic() - began:.0f} s in all"


def main(arguments: Sequence[str]) -> None:
    """Run them all."""
    folder, at_once = Path(arguments[0]), int(arguments[1])
    legs = [argument.split("=", 1) for argument in arguments[2:]]
    with ThreadPoolExecutor(at_once) as threads:
        running = {threads.submit(run, folder / leg, python): leg for leg, python in legs}
        for done in as_completed(running):
            airflow, _, python = running[done].partition("-py")
            print(f"=== Airflow {airflow}, Python {python}\n{done.result()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
