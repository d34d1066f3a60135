# SPDX-License-Identifier: Apache-2.0
"""In what the versions of Dinky differ, as far as a client can see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DinkyVersion:
    """One line of Dinky's versions.

    :param name: what the sandbox is asked for: ``1.1``.
    :param reported: what ``/openapi/version`` answers.
    :param token_name: what the cookie and the header with the token are called.
    :param iso_times: whether times of the tenant have a ``T`` between day and hour.
    :param archives_jobs: whether Flink archives each job for Dinky, which then shows an ended one from there.
    :param finds_tasks_by_name: whether the task list can be filtered by name (with an H2 database).
    :param savepoints_fail: whether every savepoint on a session cluster fails inside Dinky, before Flink is
        asked (seen on the development line of 1.2).
    """

    name: str
    reported: str
    token_name: str = "token"
    iso_times: bool = True
    savepoints_fail: bool = False
    archives_jobs: bool = False
    finds_tasks_by_name: bool = False


NEWEST_RECORDED = "1.1"
"""The newest version that the recordings cover fully."""

# What 1.2 reports is not in the recordings: a guess.
VERSIONS = {
    version.name: version
    for version in (
        DinkyVersion("1.0", "1.0.3"),
        DinkyVersion("1.1", "1.1.0"),
        DinkyVersion(
            "1.2",
            "1.2.0",
            "dinky-token",
            iso_times=False,
            archives_jobs=True,
            finds_tasks_by_name=True,
            savepoints_fail=True,
        ),
    )
}


def version(name: str) -> DinkyVersion:
    """Return a version by name. Raises ValueError for one that the sandbox does not know."""
    if name not in VERSIONS:
        raise ValueError(f"dinky is {name!r}, must be one of {', '.join(VERSIONS)}")
    return VERSIONS[name]
