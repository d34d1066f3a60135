# SPDX-License-Identifier: Apache-2.0
"""Java on this machine, and how Flink's programs are started on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .errors import FlinkUnavailable

OLDEST, NEWEST = 11, 21
"""Major versions of Java that Flink 1.20 runs on (21 experimentally)."""

_MODULES = (
    # What Flink's own conf/config.yaml says in env.java.opts.all.
    *(
        f"--add-exports={module}=ALL-UNNAMED"
        for module in (
            "java.base/sun.net.util",
            "java.rmi/sun.rmi.registry",
            "jdk.compiler/com.sun.tools.javac.api",
            "jdk.compiler/com.sun.tools.javac.file",
            "jdk.compiler/com.sun.tools.javac.parser",
            "jdk.compiler/com.sun.tools.javac.tree",
            "jdk.compiler/com.sun.tools.javac.util",
            "java.security.jgss/sun.security.krb5",
        )
    ),
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch"),
            *("java.text", "java.time", "java.util", "java.util.concurrent"),
            *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
        )
    ),
)
_PLACES = ("/usr/lib/jvm/*/bin/java", "/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java")


def find_java(environment: Mapping[str, str] | None = None) -> Path:
    """Return a Java that Flink runs on: of ``JAVA_HOME``, of ``PATH``, or of the usual places.

    Raises :class:`~.errors.FlinkUnavailable`; the message names those that were found.
    """
    unsuitable = []
    for java in _candidates(os.environ if environment is None else environment):
        version = java_version(java)
        if version is not None and OLDEST <= version <= NEWEST:
            return java
        unsuitable.append(f"{java} is {f'Java {version}' if version else 'no Java that starts'}")
    found = f" ({'; '.join(unsuitable)})" if unsuitable else ""
    raise FlinkUnavailable(
        f"no Java 11 or 17 found{found}; on Debian and Ubuntu: apt install openjdk-17-jre-headless, "
        "or set JAVA_HOME"
    )


def java_version(java: Path) -> int | None:
    """Return the major version of a Java, or None for what is none."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', told.stderr)
    return int(version.group(1)) if version else None


def command(
    java: Path,
    jars: Iterable[Path],
    main_class: str,
    *arguments: str,
    heap: int,
    folder: Path,
    options: Iterable[str] = (),
) -> list[str]:
    """Return the command that starts ``main_class`` with ``heap`` MiB at most, temporary files in ``folder``."""
    return [
        str(java),
        "-XX:+IgnoreUnrecognizedVMOptions",
        *_MODULES,
        f"-Xmx{heap}m",
        "-XX:+UseSerialGC",
        f"-Djava.io.tmpdir={folder}",
        *options,
        "-classpath",
        os.pathsep.join(map(str, jars)),
        main_class,
        *arguments,
    ]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would lead Flink to another installation's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FLINK_", "HADOOP_"))}


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    seen = set()
    home, path = environment.get("JAVA_HOME"), shutil.which("java", path=environment.get("PATH", ""))
    usual = (found for place in _PLACES for found in sorted(Path("/").glob(place[1:]), reverse=True))
    for java in (*([Path(home) / "bin" / "java"] if home else []), *([Path(path)] if path else []), *usual):
        if java.resolve() not in seen and java.exists():
            seen.add(java.resolve())
            yield java
