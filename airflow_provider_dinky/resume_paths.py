# SPDX-License-Identifier: Apache-2.0
"""Paths of savepoints and checkpoints: whether two are the same, and whether this machine sees what is there."""

from __future__ import annotations

import re
from pathlib import Path

_EVERYWHERE = frozenset({"/", "/tmp", "/var/tmp", "/var", "/opt", "/mnt", "/data", "/home", "/srv"})
"""Folders that any machine has: that Flink's are the same as ours is not to be concluded from them."""


def same_place(one: str, other: str) -> bool:
    """Whether two paths are the same, for Flink and Dinky write ``file:/a`` and ``file:///a`` for one place."""
    return _plain(one) == _plain(other)


def on_disk(path: str) -> bool | None:
    """Whether there is a savepoint or checkpoint at a path; None where this machine cannot tell.

    It can tell of a local path whose folder it has, too: then it sees the folder that Flink writes to.
    """
    local = _local(path)
    if local is None or str(local.parent) in _EVERYWHERE:
        return None
    try:
        if not local.parent.is_dir():
            return None
        return local.is_file() or (local / "_metadata").is_file()
    except OSError:
        return None


def _local(path: str) -> Path | None:
    if path.startswith("file:"):
        return Path("/" + path.removeprefix("file:").lstrip("/"))
    return Path(path) if path.startswith("/") else None


def _plain(path: str) -> str:
    return re.sub(r"^([A-Za-z][\w+.\-]*:)/{3,}", r"\1/", path.strip()).rstrip("/")
