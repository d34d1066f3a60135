# SPDX-License-Identifier: Apache-2.0
"""Finding Java and installing Flink, with programs that only say what they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_provider_dinky.sandbox.flink import environment, jvm
from airflow_provider_dinky.sandbox.flink.errors import FlinkUnavailable


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture(autouse=True)
def _no_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "_PLACES", ())


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_392", 8), ("11.0.20", 11), ("17.0.15", 17), ("21", 21), ("25.0.1", 25)]
)
def test_version_of_java(tmp_path: Path, version: str, major: int) -> None:
    assert jvm.java_version(fake_java(tmp_path, version)) == major


def test_first_suitable_java_is_taken(tmp_path: Path) -> None:
    old, right = fake_java(tmp_path / "old", "1.8.0_392"), fake_java(tmp_path / "right", "17.0.1")
    found = jvm.find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(right.parent)})
    assert found == right
    assert jvm.find_java({"JAVA_HOME": str(tmp_path / "right"), "PATH": str(old.parent)}) == right


def test_without_a_suitable_one_it_says_what_is_there(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "old", "1.8.0_392")
    with pytest.raises(
        FlinkUnavailable, match=r"no Java 11 or 17 found \(.*old/bin/java is Java 8\).*apt install"
    ):
        jvm.find_java({"PATH": str(old.parent)})
    with pytest.raises(FlinkUnavailable, match="^no Java 11 or 17 found; on Debian"):
        jvm.find_java({"PATH": str(tmp_path)})


def test_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment.cache_folder() == tmp_path.resolve() / "airflow-provider-dinky"
    monkeypatch.setenv(environment.CACHE_VARIABLE, str(tmp_path / "mine"))
    assert environment.cache_folder() == tmp_path.resolve() / "mine"


def test_failed_installation_says_so_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def install(target: environment.FlinkEnvironment) -> None:
        tries.append(target.folder.name)
        # What there is without a network: pip ends with an error.
        command = "import sys; sys.exit('No matching distribution found')"
        environment._run("Flink could not be installed (is there a network?)", sys.executable, "-c", command)

    monkeypatch.setattr(environment, "_install", install)
    for _ in range(2):
        with pytest.raises(FlinkUnavailable, match=r"is there a network\?\): No matching distribution found"):
            environment.prepare(tmp_path)
    assert len(tries) == 2


def test_two_at_once_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[int] = []
    began = threading.Event()

    def install(target: environment.FlinkEnvironment) -> None:
        began.set()
        # Longer than the other one takes to come to the lock.
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
        target.folder.mkdir(parents=True)
        installed.append(os.getpid())

    monkeypatch.setattr(environment, "_install", install)
    threads = [threading.Thread(target=environment.prepare, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
        began.wait()
    for thread in threads:
        thread.join()
    assert len(installed) == 1
    environment.prepare(tmp_path)
    assert len(installed) == 1


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FlinkUnavailable, match="could not be installed in"):
        environment.prepare(tmp_path / "file" / "cache")
