# SPDX-License-Identifier: Apache-2.0
"""Many deferred jobs in Airflow's real TriggerRunner: this provider's trigger beside those of others, and beside the
floors of what is possible.

Needs the harness of the trigger benchmark (``--harness``, the folder of bench_triggers.py and peers.py), which starts
a stub of every service on loopback, and for the peers their providers:

    pip install apache-airflow-providers-{databricks,dbt-cloud,apache-livy,http,airbyte}
    python benchmarks/triggerer.py --harness ../shared/bench/triggers          # about 90 minutes
    python benchmarks/triggerer.py --harness ... --only scale --jobs 1000      # one part
    python benchmarks/triggerer.py --harness ... --only-report                 # the tables alone

Runs of one repeat follow each other directly and are compared only with each other; the tables show the median of the
repeats. What has been run is kept in ``--results``, and only what is missing there is run.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
OURS = ("dinky", "dinky-anonymous")
FLOORS = ("floor-sleep", "floor-batch", "floor-session")
PEERS = ("databricks", "dbt", "livy", "http-sensor")
FLOOR_OF = {"dinky": "floor-batch", "dinky-anonymous": "floor-session"}
INTERVAL = 5.0
Result = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Runs that belong into one table."""

    label: str
    title: str
    peers: tuple[str, ...]
    jobs: tuple[int, ...]
    repeats: int
    options: tuple[str, ...] = ()


PARTS = (
    Part("scale", "No faults", (*FLOORS, *OURS, *PEERS), (100, 1000, 5000), 3),
    Part("scale-airbyte", "airbyte, whose poll blocks the event loop", ("airbyte",), (1000,), 1),
    Part("many", "10,000 jobs", ("floor-batch", "dinky"), (10_000,), 1),
    Part(
        "faults",
        "1 % HTTP 502 and 1 % resets",
        (*OURS, *PEERS),
        (1000,),
        1,
        ("--fault-502", "0.01", "--fault-reset", "0.01"),
    ),
    Part("outage-502", "HTTP 502 for 30 s", (*OURS, *PEERS), (1000,), 1, ("--outage-seconds", "30")),
    Part(
        "outage-reset",
        "Connections reset for 30 s",
        (*OURS, *PEERS),
        (1000,),
        1,
        ("--outage-seconds", "30", "--outage-kind", "reset"),
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, print the tables and the bars; return 1 if a bar was missed."""
    options = _parser().parse_args(arguments)
    parts = [part for part in PARTS if not options.only or part.label in options.only]
    if not options.only_report:
        if not (options.harness / "bench_triggers.py").is_file():
            print(
                f"error: {options.harness} is not the harness; name its folder with --harness",
                file=sys.stderr,
            )
            return 2
        for part in parts:
            _run(part, options)
    found = _load(options.results)
    for part in parts:
        print("\n".join(_table(part, found)))
    missed = list(_missed(found))
    print("\n".join(missed) if missed else "Every bar was met, as far as it was measured.")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    harness = HERE.parents[1] / "shared" / "bench" / "triggers"
    parser.add_argument("--harness", type=Path, default=harness, help="folder of bench_triggers.py")
    parser.add_argument("--results", type=Path, default=HERE.parent / ".work" / "triggerer.jsonl")
    parser.add_argument("--only", nargs="*", choices=[part.label for part in PARTS], help="parts to run")
    parser.add_argument("--jobs", nargs="*", type=int, help="numbers of jobs to run, of those planned")
    parser.add_argument("--peers", nargs="*", help="peers to run, of those planned")
    parser.add_argument("--only-report", action="store_true")
    return parser


def _run(part: Part, options: argparse.Namespace) -> None:
    for jobs in part.jobs:
        for repeat in range(part.repeats):
            for peer in part.peers:
                wanted = (not options.jobs or jobs in options.jobs) and (
                    not options.peers or peer in options.peers
                )
                done = len(_load(options.results).get((part.label, jobs, peer), []))
                if wanted and done <= repeat:
                    print(f"{part.label} {peer} {jobs} ({repeat + 1} of {part.repeats})", file=sys.stderr)
                    _run_one(part, peer, jobs, options)


def _run_one(part: Part, peer: str, jobs: int, options: argparse.Namespace) -> None:
    options.results.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "bench_triggers.py", "--plugin", str(HERE / "triggerer_peers.py")]
    command += ["--peer", peer, "--jobs", str(jobs), "--poll-interval", str(INTERVAL), *part.options]
    command += ["--label", part.label, "--out", str(options.results.resolve())]
    done = subprocess.run(
        command, cwd=options.harness, capture_output=True, text=True, timeout=400, check=False
    )
    if done.returncode:
        print(f"{peer} could not be run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)


def _load(file: Path) -> dict[tuple[str, int, str], list[Result]]:
    found: dict[tuple[str, int, str], list[Result]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        result = json.loads(line)
        found.setdefault((result["label"], result["jobs"], result["peer"]), []).append(result)
    return found


def _table(part: Part, found: dict[tuple[str, int, str], list[Result]]) -> Iterator[str]:
    yield f"\n**{part.title}**\n"
    yield (
        "| jobs | trigger | runs | CPU s | requests per interval | connections | KiB per job | loop lag p99 ms | "
        "seen after p50 / p99 s | right | wrong | raised | missing |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for jobs in part.jobs:
        for peer in part.peers:
            runs = found.get((part.label, jobs, peer), [])
            if not runs:
                continue
            seen = f"{_median(runs, 'latency_p50_s'):.1f} / {_median(runs, 'latency_p99_s'):.1f}"
            yield (
                f"| {jobs:,} | {peer} | {len(runs)} | {_median(runs, 'cpu_s'):.1f} | "
                f"{median(_requests_per_interval(run) for run in runs):.1f} | {_median(runs, 'connections'):.0f} | "
                f"{_median(runs, 'rss_kib_per_job'):.0f} | {_median(runs, 'lag_p99_ms'):.0f} | {seen} | "
                f"{_worst(runs, 'correct', min):,} | {_worst(runs, 'wrong')} | {_worst(runs, 'raised')} | "
                f"{_worst(runs, 'missing')} |"
            )


def _missed(found: dict[tuple[str, int, str], list[Result]]) -> Iterator[str]:
    """The bars of the project's own making, one line for each that a measured run does not meet."""
    for (label, jobs, peer), runs in found.items():
        if peer not in OURS:
            continue
        name = f"{label}, {jobs:,} jobs, {peer}"
        bad = sum(_worst(runs, what) for what in ("wrong", "raised", "missing"))
        if bad:
            yield f"MISSED {name}: {bad} events wrong, raised or missing"
        if label != "scale" or jobs < 1000:
            continue
        yield from _missed_costs(name, runs, found[label, jobs, FLOOR_OF[peer]], at_most=1.25)
        sleep = found.get((label, jobs, "floor-sleep"), [])
        if sleep and (lag := _median(runs, "lag_p99_ms") - _median(sleep, "lag_p99_ms")) > 10:
            yield f"MISSED {name}: event-loop lag p99 {lag:.0f} ms over floor-sleep, at most 10"
        if (memory := _median(runs, "rss_kib_per_job")) > 15:
            yield f"MISSED {name}: {memory:.1f} KiB per job, at most 15"
        # Sixteen connections answer 800 requests a second here: 5,000 anonymous jobs want 1,000.
        in_reach = peer == "dinky" or jobs <= 1000
        if in_reach and (late := _median(runs, "latency_p99_s")) > INTERVAL + 0.5:
            yield f"MISSED {name}: seen after {late:.1f} s (p99), at most {INTERVAL + 0.5}"
        if (connections := _worst(runs, "connections")) > 16:
            yield f"MISSED {name}: {connections} connections, at most 16"
        if peer == "dinky":
            most = math.ceil(jobs / 1000) + 1
            if (asked := median(_requests_per_interval(run) for run in runs)) > most:
                yield f"MISSED {name}: {asked:.1f} requests per interval, at most {most}"
            rivals = [
                _median(found[label, jobs, other], "cpu_s")
                for other in PEERS
                if (label, jobs, other) in found
            ]
            least = 5 if jobs <= 1000 else 4
            if rivals and (times := min(rivals) / _median(runs, "cpu_s")) < least:
                yield f"MISSED {name}: {times:.1f} times less CPU than the best peer, at least {least}"


def _missed_costs(name: str, runs: list[Result], floor: list[Result], at_most: float) -> Iterator[str]:
    ratio = median(ours["cpu_s"] / theirs["cpu_s"] for ours, theirs in zip(runs, floor, strict=False))
    if ratio > at_most:
        yield f"MISSED {name}: {ratio:.2f} times the CPU of {floor[0]['peer']}, at most {at_most}"


def _requests_per_interval(run: Result) -> float:
    return float(run["requests"] / (run["wall_s"] / INTERVAL))


def _median(runs: list[Result], what: str) -> float:
    return median(run[what] or 0.0 for run in runs)


def _worst(runs: list[Result], what: str, choose: Any = max) -> int:
    return int(choose(run[what] for run in runs))


if __name__ == "__main__":
    sys.exit(main())
