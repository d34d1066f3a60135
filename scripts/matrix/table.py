# SPDX-License-Identifier: Apache-2.0
"""``python -m matrix.table FOLDER LEG...``: what came of the legs, as a table, as Markdown and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEADINGS = ("Airflow", "Python", "provider and form", "tests passed", "examples run", "seconds", "result")


def row(leg: str, result: dict[str, Any] | None) -> tuple[str, ...]:
    """One line of the table; without a result, the leg did not come to its end."""
    if result is None:
        airflow, _, python = leg.partition("-py")
        return (airflow, python, "-", "-", "-", "-", "FAILED: did not come to its end")
    tests, problems = result["tests"], result["problems"]
    passed = str(tests["passed"])
    passed += "".join(f", {tests[what]} {what}" for what in ("failed", "skipped") if tests[what])
    return (
        result["airflow"],
        result["python"],
        "FAILED"
        if any(problem.startswith(("provider:", "form:")) for problem in problems)
        else "as they should be",
        passed,
        result["examples"],
        str(result["seconds"]),
        "FAILED" if problems else "passed",
    )


def main(arguments: Sequence[str]) -> int:
    """Print and write them; returns the exit code."""
    folder, legs = Path(arguments[0]), arguments[1:]
    results = {leg: _read(folder / leg / "result.json") for leg in legs}
    rows = [row(leg, result) for leg, result in results.items()]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for cells in (HEADINGS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for leg, result in results.items():
        print("".join(f"{leg}: {problem}\n" for problem in (result or {}).get("problems", [])), end="")
    lines = (HEADINGS, ["---"] * len(HEADINGS), *rows)
    markdown = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    (folder / "matrix.md").write_text(markdown, encoding="utf-8")
    (folder / "matrix.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    passed = sum(result is not None and not result["problems"] for result in results.values())
    print(f"{passed} passed, {len(legs) - passed} failed")
    return 0 if legs and passed == len(legs) else 1


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
