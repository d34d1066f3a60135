# SPDX-License-Identifier: Apache-2.0
"""The documentation quotes what is tested, and the messages it explains are those of the code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_dinky
from airflow_provider_dinky.sandbox.__main__ import _parser
from airflow_provider_dinky.sandbox.control_api import ControlApi
from airflow_provider_dinky.sandbox.core import SandboxCore
from airflow_provider_dinky.sandbox.tasks import load_tasks
from tests.source import nodes_of

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PACKAGE = Path(airflow_provider_dinky.__file__).parent
FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+|~~~+) *\{?\.?(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
SNIPPET = re.compile(r'--8<-- "(?P<file>[^":]+)(?::(?P<section>[\w-]+))?"')
QUOTED_LANGUAGES = {"python", "py", "python3", "pycon", "yaml", "json"}
TESTED_PLACES = ("example_dags/", "tests/docs/")
SANDBOX = "python -m airflow_provider_dinky.sandbox"


def fences(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block of code."""
    for fence in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield fence["language"].lower(), fence["code"]


def untested(language: str, code: str) -> list[str]:
    """The lines of a block that are quoted from nowhere."""
    if language not in QUOTED_LANGUAGES:
        return []
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    return [
        line
        for line in lines
        if not ((snippet := SNIPPET.fullmatch(line)) and snippet["file"].startswith(TESTED_PLACES))
    ] or ([] if lines else ["an empty block"])


def test_there_are_pages_with_code() -> None:
    languages = [language for page in PAGES for language, _ in fences(page)]
    assert len(PAGES) > 15
    assert languages.count("python") > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_is_quoted_from_tested_files(page: Path) -> None:
    assert [line for language, code in fences(page) for line in untested(language, code)] == []


@pytest.mark.parametrize(
    "block",
    [
        "```python\nimport airflow\n```\n",
        "~~~ py\nimport airflow\n~~~\n",
        '``` {.python title="a.py"}\nimport airflow\n```\n',
        '```python\n--8<-- "README.md"\n```\n',
        '    ```python\n    --8<-- "example_dags/keep_running.py"\n    print()\n    ```\n',
        "```python\n```\n",
    ],
)
def test_code_that_is_written_into_a_page_is_found(block: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{block}\nText\n", encoding="utf-8")
    assert [line for language, code in fences(page) for line in untested(language, code)]


def quotes() -> set[tuple[str, str | None]]:
    return {
        (snippet["file"], snippet["section"])
        for page in PAGES
        for snippet in SNIPPET.finditer(page.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize(("file", "section"), sorted(quotes(), key=str))
def test_what_is_quoted_is_there(file: str, section: str | None) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    if section is not None and not section.isdigit():
        stripped = [line.strip(" #") for line in lines]
        begin, end = f"--8<-- [start:{section}]", f"--8<-- [end:{section}]"
        assert stripped.count(begin) == stripped.count(end) == 1
        assert stripped.index(begin) < stripped.index(end)


def test_every_tested_dag_is_quoted() -> None:
    quoted = {file for file, _ in quotes()}
    dags = {str(file.relative_to(ROOT)) for file in (ROOT / "tests/docs/project/dags").glob("*.py")}
    assert dags <= quoted


def templates() -> list[str]:
    """Every text in the package, with a … where something is filled in."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in nodes_of(file):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%(?:\.\d)?[srdfg]", "…", node.value))
    return found


def explained(page: str) -> list[str]:
    """The messages in the first columns of a page's tables."""
    return [
        message
        for row in page.splitlines()
        if row.startswith("| `")
        for message in re.findall(r"`([^`]+)`", row.split(" | ")[0])
    ]


def not_in_the_code(messages: list[str]) -> list[tuple[str, str]]:
    """Those of which a part is in no text of the package, with that part; ``…`` stands for what differs."""
    texts = templates()
    return [
        (message, part)
        for message in messages
        for part in (part.strip(" ;:,") for part in message.split("…"))
        if part and not any(part in text for text in texts)
    ]


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    messages = explained((ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"))
    assert len(messages) > 50
    assert not_in_the_code(messages) == []


def test_messages_about_a_real_flink_are_those_of_the_code() -> None:
    page = (ROOT / "docs/real-flink.md").read_text(encoding="utf-8")
    _, _, table = page.partition("## If something is wrong")
    # Flink's own word.
    messages = [message for message in explained(table) if message != "NoResourceAvailableException"]
    assert len(messages) > 5
    assert not_in_the_code(messages) == []


def commands() -> list[str]:
    return [
        line
        for page in PAGES
        for language, code in fences(page)
        if language == "bash"
        for line in code.splitlines()
        if line.startswith(SANDBOX)
    ]


@pytest.mark.parametrize("command", commands())
def test_sandbox_takes_the_options_that_are_shown(command: str) -> None:
    _parser().parse_args(shlex.split(command[len(SANDBOX) :]))


def test_orders_to_the_sandbox_exist() -> None:
    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    core = SandboxCore()
    try:
        orders = ControlApi(core).orders
    finally:
        core.close()
    shown = set(re.findall(r"/sandbox/(\w+)", page)) | set(re.findall(r"`(\w+)\(", page)) - {"dag"}
    assert shown
    assert shown <= set(orders)


def test_tasks_of_the_example_file_can_be_served() -> None:
    assert [task.kind for task in load_tasks(ROOT / "tests/docs/tasks.yaml")] == [
        "streaming",
        "bounded",
        "failing",
    ]
