# SPDX-License-Identifier: Apache-2.0
"""A real Flink for sandboxes: all its parts, started and ended together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_dinky.sandbox.engine import EngineUnreachable, JobNotFound
from airflow_provider_dinky.sandbox.timing import Timing

from .cluster import FlinkCluster
from .engine import FlinkEngine
from .environment import FLINK_VERSION, FlinkEnvironment, prepare
from .errors import FlinkUnavailable
from .jvm import find_java
from .rest import FlinkRefused, FlinkRest
from .submitter import Submitter

TIMING = Timing(submit=0.0, first_submit=0.0, cancel=0.0)
"""For a sandbox on a real Flink: what takes its time there by itself is not to take it twice."""
_MINOR = ".".join(FLINK_VERSION.split(".")[:2])


class FlinkRuntime:
    """A Flink cluster and what submits SQL to it.

    ::

        with FlinkRuntime() as flink, Sandbox(engine=flink.engine(), timing=TIMING, tasks=...) as sandbox:
            ...

    :param rest_url: ``http://host:port`` of a running cluster to use, which is never stopped or broken; without,
        one is started.
    :param cache: folder that keeps Flink's programs; see :func:`~.environment.cache_folder`.
    :param slots: for how many jobs the started cluster has room.
    :param port: of the started cluster's web page and REST API; 0 takes a free one.
    :param settings: Flink options for the started cluster.
    :param tell: takes a line about what is being done.
    :raises FlinkUnavailable: there is no Java, no Flink could be installed, the port is taken.
    """

    def __init__(
        self,
        *,
        rest_url: str | None = None,
        cache: str | Path | None = None,
        slots: int = 8,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        rest = None if rest_url is None else _rest(rest_url)
        java = find_java()
        self.environment: FlinkEnvironment = prepare(cache, tell)
        self.cluster: FlinkCluster | None = None
        if rest is None:
            self.cluster = FlinkCluster(self.environment, java, slots=slots, port=port, settings=settings)
            rest = self.cluster.rest
        self.rest: FlinkRest = rest
        self.submitter = Submitter(self.environment, java, rest.host, rest.port)

    def __enter__(self) -> FlinkRuntime:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def web_page(self) -> str:
        """The address of Flink's own web page."""
        return f"http://{self.rest.address}"

    def engine(self, savepoints: str | Path | None = None) -> FlinkEngine:
        """Return an engine for one sandbox; what it records are the jobs of that sandbox.

        :param savepoints: where its savepoints go. Without, a folder that goes with the cluster, or, for a
            running cluster, the place that is set there.
        """
        if savepoints is None and self.cluster is not None:
            savepoints = self.cluster.folder / "savepoints"
        place = f"file:{savepoints.resolve()}" if isinstance(savepoints, Path) else savepoints
        return FlinkEngine(self.rest, self.submitter, savepoints=place, cluster=self.cluster)

    def start(self) -> None:
        """Start everything; returns when jobs can be submitted.

        :raises FlinkUnavailable: it did not come up, or the running cluster cannot be used, and why.
        """
        try:
            self.submitter.start()
            if self.cluster is None:
                self._check_running()
            else:
                self.cluster.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything that was started. May be called twice."""
        with contextlib.ExitStack() as stack:
            if self.cluster is not None:
                stack.callback(self.cluster.stop)
            stack.callback(self.submitter.stop)

    def _check_running(self) -> None:
        try:
            overview = self.rest.ask_blocking("/overview")
        except (EngineUnreachable, JobNotFound, FlinkRefused, ValueError) as error:
            raise FlinkUnavailable(f"no Flink answers at {self.web_page}: {error}") from error
        if not isinstance(overview, dict) or not {"flink-version", "slots-available", "slots-total"} <= set(
            overview
        ):
            raise FlinkUnavailable(f"what answers at {self.web_page} is no Flink")
        version = str(overview["flink-version"])
        if not version.startswith(f"{_MINOR}."):
            raise FlinkUnavailable(
                f"{self.web_page} is Flink {version}; the sandbox can submit only to Flink {_MINOR}"
            )
        if overview["slots-available"] < 1:
            raise FlinkUnavailable(
                f"{self.web_page} is out of slots: {overview['slots-total']} in all, none of them free"
            )


def _rest(url: str) -> FlinkRest:
    try:
        parts = urlsplit(url)
        port = parts.port or 8081
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise FlinkUnavailable(f"a Flink's REST address looks like http://127.0.0.1:8081, not {url!r}")
    return FlinkRest(parts.hostname, port)
