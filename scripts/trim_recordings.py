# SPDX-License-Identifier: Apache-2.0
"""Make ``tests/contract/recordings`` from full recordings of a real Dinky.

Only the frames of Java stack traces go (``<tab>at ...`` and ``<tab>... 12 more``); every message, every
``Caused by:`` line and every field stays as it was recorded, so that what the contract tests compare is
still what a real server sent.

    python scripts/trim_recordings.py FULL_RECORDINGS_DIR [TARGET_DIR]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "tests" / "contract" / "recordings"
FRAME = re.compile(r"^\t(?:at |\.\.\. \d+ more)")


def trim(value: Any) -> Any:
    """Return ``value`` with the stack frames removed from every text in it, however deep."""
    if isinstance(value, dict):
        return {key: trim(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trim(item) for item in value]
    if isinstance(value, str) and "\n\t" in value:
        return "\n".join(line for line in value.split("\n") if not FRAME.match(line))
    return value


def main(arguments: list[str]) -> int:
    """Trim every ``*.jsonl`` of the given directory; return the exit code."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    source = Path(arguments[0])
    target = Path(arguments[1]) if len(arguments) == 2 else TARGET
    target.mkdir(parents=True, exist_ok=True)
    for full in sorted(source.glob("*.jsonl")):
        lines = full.read_text(encoding="utf-8").splitlines()
        trimmed = [json.dumps(trim(json.loads(line)), ensure_ascii=False) for line in lines]
        (target / full.name).write_text("\n".join(trimmed) + "\n", encoding="utf-8")
        print(f"{full.name}: {len(lines)} exchanges")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
