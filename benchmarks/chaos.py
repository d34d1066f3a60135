# SPDX-License-Identifier: Apache-2.0
"""Lets Airflow tasks, Dinky and the network between them die at random points, and counts what that leaves behind.

Each run is one Airflow task that submits or restarts a job: its tries are killed before, during and after requests,
answers get lost, come late or as a proxy's 502, Dinky restarts, its cluster goes away; Airflow retries. What is
counted is the record that the sandbox's engine keeps of every job, never what a client believes. The same runs are
played with the operators of this provider and with naive ones, as hand-written HTTP operators are.

Exit code 1 if a variant that is promised to be safe shows a duplicate, a lost job, one that is left down, or one
that came back without its state.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from benchmarks.chaos_runs import Tally
    from benchmarks.chaos_world import Variant

VARIANTS = {
    "signed-in+store": {"signed_in": True, "has_store": True},
    "signed-in": {"signed_in": True, "has_store": False},
    "anonymous+store": {"signed_in": False, "has_store": True},
    "anonymous": {"signed_in": False, "has_store": False, "promised": False},
    "naive": {"signed_in": False, "has_store": False, "promised": False, "naive": True},
}


def main(arguments: list[str] | None = None) -> int:
    """Play the runs of every variant and print a line for each."""
    options = _parser().parse_args(arguments)
    home = tempfile.mkdtemp(prefix="airflow-home-")
    # Airflow reads its home once, when it is first imported.
    os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    screen = sys.stdout
    try:
        # Airflow writes the log of tasks to the standard output.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return _compare(options, screen)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200, help="runs of each variant (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="what the runs go through (default: 1)")
    parser.add_argument(
        "--variant",
        action="append",
        choices=VARIANTS,
        help="only this one, may be given several times; 'anonymous' is the product where it can prove nothing, "
        "'naive' is a submit or Dinky's own restart with plain retries",
    )
    parser.add_argument(
        "--only", type=int, metavar="NUMBER", help="only the run of this number, and tell all"
    )
    parser.add_argument(
        "--speed", type=float, default=100.0, help="how many times faster than real (default: 100)"
    )
    parser.add_argument("--at-once", type=int, default=12, help="runs that go on at a time (default: 12)")
    parser.add_argument(
        "--details", action="store_true", help="tell about every harm done, on standard error"
    )
    return parser


def _compare(options: argparse.Namespace, screen: TextIO) -> int:
    from benchmarks.chaos_world import Variant

    _hush()
    broken = 0
    for name in options.variant or VARIANTS:
        variant = Variant(name, **VARIANTS[name])
        began = time.monotonic()
        tally = _play_all(options, variant)
        print(f"variant={name} {tally} seconds={time.monotonic() - began:.0f}", file=screen, flush=True)
        if options.details or options.only is not None or variant.promised:
            print("\n\n".join(tally.findings), file=sys.stderr, end="\n" if tally.findings else "")
        broken += variant.promised and tally.harm > 0
    return 1 if broken else 0


def _play_all(options: argparse.Namespace, variant: Variant) -> Tally:
    from benchmarks.chaos_runs import Tally, draw, play

    def one(number: int) -> Tally:
        scenario = draw(options.seed, number, variant)
        return play(scenario, variant, speed=options.speed, seed=options.seed)

    numbers = range(options.runs) if options.only is None else [options.only]
    total = Tally()
    with ThreadPoolExecutor(options.at_once) as pool:
        for tally in pool.map(one, numbers):
            total.add(tally)
    return total


def _hush() -> None:
    """Keep the log off the screen; what a run logs is caught run by run."""
    ours = logging.getLogger("airflow_provider_dinky")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.getLogger().setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
