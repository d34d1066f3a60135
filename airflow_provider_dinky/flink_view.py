# SPDX-License-Identifier: Apache-2.0
"""What Flink knows of a job: its state, checkpoints and failures, whoever tells it.

Signed in, Dinky asks Flink and passes on what it says; without credentials Flink is asked itself, if the connection
allows that. The answers of Flink 1.14 to 2.x differ in what they hold: what is missing is unknown, never an error.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_dinky.client import calls, flink
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyError,
    DinkyNotFoundError,
    DinkyRefusedError,
    FlinkNotVisibleError,
)
from airflow_provider_dinky.client.java import noted_cause
from airflow_provider_dinky.client.models import JobData, JobInfoDetail

Retention = Literal["none", "on_failure", "on_cancellation"]

_NO_INTERVAL = 2**62
"""Milliseconds; Flink's interval of checkpoints that are off is the largest number there is."""


@dataclass(frozen=True)
class Checkpoint:
    """One completed checkpoint or savepoint of a job.

    :param path: where it lies; None where nobody tells, or where it lies in memory.
    :param is_savepoint: whether somebody asked for it, and Flink never deletes it.
    :param completed_at: when it was complete, in milliseconds since 1970 by Flink's clock; None where nobody tells.
    :param discarded: whether Flink has deleted it.
    :param number: its place in the order in which the job took them.
    """

    path: str | None
    is_savepoint: bool
    completed_at: int | None
    discarded: bool
    number: int = 0


@dataclass(frozen=True)
class FlinkView:
    """What Flink knows of a job.

    :param job_id: Flink's id of the job.
    :param state: Flink's name of its state; None where that is not known.
    :param now: what time it was for Flink, in milliseconds since 1970; None where that is not known.
    :param checkpoints: the completed checkpoints and savepoints that are still listed, newest first.
    :param restored_from: path of what the job was last restored from, which may be a checkpoint of its own.
    :param checkpointing: whether the job takes checkpoints by itself; None where nobody tells.
    :param retention: in which case its newest checkpoint stays when it ends (never, if it failed, also if it was
        cancelled); None where nobody tells.
    :param failures: when it failed, whether or not it went on after that: milliseconds since 1970 by Flink's clock,
        newest first. Flink keeps the newest 16 by default. None where nobody tells.
    :param failures_truncated: whether there were more failures than those.
    :param source: who tells, for sentences ("Flink at jm:8081").
    :param restored_savepoint: whether ``restored_from`` is a savepoint.
    :param problem: why this is only what was seen at some earlier time; ``state`` and ``now`` are None then.
    """

    job_id: str | None
    state: str | None
    now: int | None
    checkpoints: tuple[Checkpoint, ...]
    restored_from: str | None
    checkpointing: bool | None
    retention: Retention | None
    failures: tuple[int, ...] | None
    failures_truncated: bool
    source: str
    restored_savepoint: bool = False
    problem: str | None = None

    @property
    def newest_checkpoint(self) -> Checkpoint | None:
        """The newest completed checkpoint that is no savepoint."""
        return next((one for one in self.checkpoints if not one.is_savepoint), None)


def flink_view_steps(
    config: DinkyConfig,
    job_instance_id: int,
    job_id: str | None = None,
    job_manager_address: str | None = None,
    *,
    fresh: bool = True,
) -> Generator[ApiCall[Any], Any, FlinkView]:
    """The calls that show what Flink knows of a job.

    :param job_instance_id: Dinky's id of the run.
    :param job_id: Flink's id of the job; needed only without credentials.
    :param job_manager_address: ``host:port`` of the job manager; needed only without credentials.
    :param fresh: whether Dinky is to ask Flink now. Right for a job that runs. Of one that has ended, Dinky keeps what
        Flink said last, and a cluster that is gone could only make it worse.
    :raises FlinkNotVisibleError: nobody tells; ``forbidden`` if the connection's settings are the reason.
    :raises DinkyError: Dinky does not answer, or does not know the run.
    """
    if config.has_credentials:
        return (yield from _through_dinky(config, job_instance_id, job_id, job_manager_address, fresh))
    if not config.allow_flink_rest:
        raise FlinkNotVisibleError(
            f"connection '{config.name}': what Flink knows of job instance {job_instance_id} is not visible: put a "
            "Dinky user and password into the connection, or allow Flink's REST API (allow_flink_rest) and give "
            "job_manager_address",
            forbidden=True,
        )
    if not job_manager_address or not job_id:
        missing = "job_manager_address (host:port)" if not job_manager_address else "Flink's id of the job"
        raise FlinkNotVisibleError(
            f"connection '{config.name}': Flink cannot be asked about job instance {job_instance_id} without "
            f"{missing}, which Dinky tells signed-in users only",
            forbidden=True,
        )
    return (yield from _from_flink(config, job_manager_address, job_id, via_dinky=False))


def _through_dinky(
    config: DinkyConfig, job_instance_id: int, job_id: str | None, address: str | None, fresh: bool
) -> Generator[ApiCall[Any], Any, FlinkView]:
    detail = yield from _detail(job_instance_id, fresh)
    data = detail.job_data
    job = _dict(data.job) if data else {}
    failed = data is not None and str(data.error).lower() == "true"
    if job and data and isinstance(data.checkpoints, dict) and not failed:
        return _view_of(detail)
    why = "Dinky has not seen it in Flink"
    if failed and data:
        why = f"Dinky cannot reach Flink ({config.redact(noted_cause(data.error_msg) or 'no reason given')})"
    job_id, address = job_id or detail.instance.job_id, address or detail.job_manager_address
    if job_id and address:
        # What Dinky has just failed to do it would fail to do once more.
        ways = [True] * (not (failed and fresh)) + [False] * config.allow_flink_rest
        for via_dinky in ways:
            try:
                return (yield from _from_flink(config, address, job_id, via_dinky=via_dinky))
            except DinkyError as error:
                why = str(error)
    if job:
        return _view_of(detail, problem=why)
    raise FlinkNotVisibleError(
        f"connection '{config.name}': what Flink knows of job instance {job_instance_id} is not visible: {why}"
    )


def _detail(job_instance_id: int, fresh: bool) -> Generator[ApiCall[Any], Any, JobInfoDetail]:
    if fresh:
        try:
            refreshed: JobInfoDetail = yield calls.refresh_job_info_detail(job_instance_id)
            return refreshed
        except DinkyNotFoundError:
            raise
        except DinkyRefusedError:
            pass
    kept: JobInfoDetail = yield calls.get_job_info_detail(job_instance_id)
    return kept


def _view_of(detail: JobInfoDetail, problem: str | None = None) -> FlinkView:
    data = detail.job_data or JobData()
    return read_view(
        data.job,
        data.checkpoints,
        data.checkpoints_config,
        data.exceptions,
        source="Flink, which Dinky asked",
        job_id=detail.instance.job_id,
        problem=problem,
    )


def _from_flink(
    config: DinkyConfig, address: str, job_id: str, *, via_dinky: bool
) -> Generator[ApiCall[Any], Any, FlinkView]:
    try:
        job = yield flink.job_details(address, job_id, via_dinky=via_dinky)
    except DinkyError as error:
        asked = "through Dinky" if via_dinky else "directly"
        raise FlinkNotVisibleError(
            f"connection '{config.name}': Flink at {address}, asked {asked}, does not show job {job_id}: {error}"
        ) from error
    views: list[Any] = []
    for ask in (flink.job_checkpoints, flink.job_checkpoints_config, flink.job_exceptions):
        try:
            views.append((yield ask(address, job_id, via_dinky=via_dinky)))
        except DinkyError:
            # A batch job has no checkpoints to show, and Flink says so by an error.
            views.append(None)
    return read_view(job, *views, source=f"Flink at {address}", job_id=job_id)


def read_view(
    job: Any,
    checkpoints: Any,
    checkpoints_config: Any,
    exceptions: Any,
    *,
    source: str,
    job_id: str | None = None,
    problem: str | None = None,
) -> FlinkView:
    """What Flink says of a job, out of its answers to ``/jobs/:jobid`` and three below it; None for one not got."""
    details, latest = _dict(job), _dict(_dict(checkpoints).get("latest"))
    found, restored = _completed(_dict(checkpoints)), _dict(latest.get("restored"))
    failures, truncated = _failures(exceptions)
    state = details.get("state")
    checkpointing = _checkpointing(checkpoints_config)
    if checkpointing is None and any(not one.is_savepoint for one in found):
        checkpointing = True
    return FlinkView(
        job_id=job_id or _text(details.get("jid")),
        state=state.upper() if isinstance(state, str) and state and not problem else None,
        now=None if problem else _now(details),
        checkpoints=found,
        restored_from=_path(restored.get("external_path")),
        checkpointing=checkpointing,
        retention=_retention(checkpoints_config),
        failures=failures,
        failures_truncated=truncated,
        source=source,
        restored_savepoint=restored.get("is_savepoint") is True and not _is_chk(restored),
        problem=problem,
    )


def count_tasks(job: Any) -> tuple[int, int]:
    """How many tasks of a job run or have finished, and how many there are, by Flink's ``/jobs/:jobid``.

    A task is one parallel instance of a vertex. (0, 0) where the answer does not tell.
    """
    running = total = 0
    for vertex in _dicts(_dict(job).get("vertices")):
        counts = {name: _moment(count) or 0 for name, count in _dict(vertex.get("tasks")).items()}
        if not sum(counts.values()):
            # Before its tasks are made, a vertex has none.
            counts = {str(vertex.get("status")): max(_moment(vertex.get("parallelism")) or 1, 1)}
        total += sum(counts.values())
        running += sum(count for name, count in counts.items() if name.upper() in ("RUNNING", "FINISHED"))
    return running, total


def failure_times(exceptions: Any) -> tuple[int, ...] | None:
    """When a job has failed, by Flink's ``/jobs/:jobid/exceptions``: milliseconds since 1970, newest first."""
    return _failures(exceptions)[0]


def _now(details: dict[str, Any]) -> int | None:
    now = _moment(details.get("now"))
    started, lasts = _moment(details.get("start-time")), _moment(details.get("duration"))
    if now is None and started and lasts and details.get("end-time") == -1:
        return started + lasts
    return now


def _completed(checkpoints: dict[str, Any]) -> tuple[Checkpoint, ...]:
    """The completed ones, newest first: the list, and the newest of each kind, which holds more where Dinky tells.

    Dinky's list leaves out where a checkpoint lies and whether it was discarded; only the newest keep both.
    """
    latest = _dict(checkpoints.get("latest"))
    entries: dict[Any, dict[str, Any]] = {}
    for entry, is_newest in (
        *((one, False) for one in _dicts(checkpoints.get("history"))),
        *((one, True) for one in _dicts([latest.get("completed"), latest.get("savepoint")])),
    ):
        if not _is_complete(entry, is_newest):
            continue
        key = entry.get("id") if isinstance(entry.get("id"), int) else ("path", entry.get("external_path"))
        known = {name: value for name, value in entry.items() if value is not None}
        discarded = entries.get(key, {}).get("discarded") is True or entry.get("discarded") is True
        entries[key] = {**entries.get(key, {}), **known, "discarded": discarded}
    found = [_checkpoint(entry) for entry in entries.values()]
    return tuple(sorted(found, key=lambda one: (one.number, one.completed_at or 0), reverse=True))


def _is_complete(entry: dict[str, Any], is_newest: bool) -> bool:
    status = _text(entry.get("status")) or _text(entry.get("className")) or _text(entry.get("@class"))
    return status.upper() == "COMPLETED" if status else is_newest


def _checkpoint(entry: dict[str, Any]) -> Checkpoint:
    kind = _text(entry.get("checkpoint_type")) or ""
    began, took = _moment(entry.get("trigger_timestamp")), _moment(entry.get("end_to_end_duration"))
    completed = _moment(entry.get("latest_ack_timestamp"))
    return Checkpoint(
        path=_path(entry.get("external_path")),
        is_savepoint=entry.get("is_savepoint") is True or "SAVEPOINT" in kind.upper(),
        completed_at=completed if completed else (began + (took or 0) if began else None),
        discarded=entry["discarded"],
        number=_moment(entry.get("id")) or 0,
    )


def _checkpointing(config: Any) -> bool | None:
    interval = _dict(config).get("interval")
    if isinstance(interval, bool) or not isinstance(interval, int):
        return None
    return 0 < interval < _NO_INTERVAL


def _retention(config: Any) -> Retention | None:
    externalization = _dict(_dict(config).get("externalization"))
    if externalization.get("enabled") is False:
        return "none"
    if externalization.get("enabled") is not True:
        return None
    return "on_cancellation" if externalization.get("delete_on_cancellation") is False else "on_failure"


def _failures(exceptions: Any) -> tuple[tuple[int, ...] | None, bool]:
    if not isinstance(exceptions, dict):
        return None, False
    history = exceptions.get("exceptionHistory")
    if isinstance(history, dict):
        moments = (_moment(entry.get("timestamp")) for entry in _dicts(history.get("entries")))
        return tuple(sorted((one for one in moments if one), reverse=True)), history.get("truncated") is True
    last = _moment(exceptions.get("timestamp"))
    return ((last,) if last else ()), exceptions.get("truncated") is True


def _is_chk(restored: dict[str, Any]) -> bool:
    # Flink calls whatever a job was started from a savepoint; only the name still tells.
    name = (_path(restored.get("external_path")) or "").rstrip("/").rpartition("/")[2]
    return name.startswith("chk-")


def _path(value: Any) -> str | None:
    # What has no address is shown as "<checkpoint-not-externally-addressable>".
    return value if isinstance(value, str) and value.strip() and not value.startswith("<") else None


def _moment(value: Any) -> int | None:
    """A number that Flink means: it writes -1 for none, and Dinky may write numbers as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
