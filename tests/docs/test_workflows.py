# SPDX-License-Identifier: Apache-2.0
"""The workflows call stages that there are, all of them at night, and actions that cannot change under their name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .test_pages import ROOT

if not (ROOT / ".github").exists():
    pytest.skip("an sdist has no workflows", allow_module_level=True)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def called(file: Path) -> set[str]:
    """The stages that a workflow calls."""
    return set(re.findall(r"--only ([\w-]+)", file.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def stages() -> set[str]:
    done = subprocess.run(
        ["bash", ".ci/run", "--list"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_stages_are_there(file: Path, stages: set[str]) -> None:
    assert called(file)
    assert called(file) <= stages


def test_at_night_nothing_is_left_out(stages: set[str]) -> None:
    assert called(ROOT / ".github" / "workflows" / "everything.yml") == stages


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned(file: Path) -> None:
    used = re.findall(r"uses: (\S+)", file.read_text(encoding="utf-8"))
    assert used
    assert [
        action
        for action in used
        if not action.startswith("./") and not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)
    ] == []
