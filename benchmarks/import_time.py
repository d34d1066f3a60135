# SPDX-License-Identifier: Apache-2.0
"""What reading a DAG file pays for this package: its import, over Airflow's own, which every DAG file pays.

``python benchmarks/import_time.py``; each figure is the median of fresh processes. The target is 30 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 15
TARGET_MS = 30.0
MODULES = ("operators.dinky", "sensors.dinky", "hooks.dinky")

_MEASURE = """
import sys, time
began = time.perf_counter()
from airflow.providers.common.compat.sdk import (
    DAG, AirflowException, AirflowSkipException, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, Context,
    conf, task,
)
airflow = time.perf_counter()
__import__("airflow_provider_dinky." + sys.argv[1])
print(airflow - began, time.perf_counter() - airflow)
"""


def main() -> int:
    """Print the figures; exit code 1 if the operators miss the target."""
    missed = False
    for module in MODULES:
        runs = [_measure(module) for _ in range(RUNS)]
        airflow = statistics.median(run[0] for run in runs) * 1000
        ours = statistics.median(run[1] for run in runs) * 1000
        print(
            f"{module:<16} {ours:6.1f} ms, {ours / airflow:.3f} of Airflow's own {airflow:.0f} ms "
            f"(median of {RUNS} processes)"
        )
        missed |= module == "operators.dinky" and ours > TARGET_MS
    print(f"target for operators.dinky: {TARGET_MS:g} ms: {'missed' if missed else 'met'}")
    return int(missed)


def _measure(module: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _MEASURE, module]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    airflow, ours = said.split()[-2:]
    return float(airflow), float(ours)


if __name__ == "__main__":
    sys.exit(main())
