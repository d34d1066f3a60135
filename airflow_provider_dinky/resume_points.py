# SPDX-License-Identifier: Apache-2.0
"""Where a job can be resumed from: the newest savepoint and checkpoint, as far as Dinky and Flink tell.

Dinky's time strings carry no zone, so nothing here computes with them. What Flink lists itself is ordered by its own
numbers; of the rest it is known that a savepoint of an earlier job is older than anything of the last one, and that a
stop with savepoint is the last that a job did.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyConfigError, FlinkNotVisibleError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.flink_view import Checkpoint, FlinkView, flink_view_steps
from airflow_provider_dinky.parameters import path_of
from airflow_provider_dinky.resume_paths import on_disk, same_place
from airflow_provider_dinky.savepoints import is_savepoint_of

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import ApiCall
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import JobInstance, Savepoint
    from airflow_provider_dinky.hooks.dinky import DinkyHook

Kind = Literal["savepoint", "checkpoint"]
Exists = Callable[[str], bool | None]

WANTED = ("latest", "latest-checkpoint", "latest-state")
"""What may stand in the place of a path: the newest savepoint, the newest checkpoint, the newer of the two."""


@dataclass(frozen=True)
class ResumePoint:
    """State that a job can be resumed from.

    :param path: where it lies.
    :param job_id: Flink's id of the job it is of; None where that is not known.
    :param completed_at: when it was complete, in milliseconds since 1970 by Flink's clock; None where nobody tells.
    :param lost_on_cancel: its job has not ended, and is not known to keep it when it is cancelled.
    :param is_earlier: the last job neither took it nor was started from it.
    """

    path: str
    kind: Kind
    job_id: str | None = None
    completed_at: int | None = None
    lost_on_cancel: bool = False
    is_earlier: bool = False


@dataclass(frozen=True)
class KnownState:
    """The state of a Dinky task that is known and, as far as can be seen, still there.

    :param savepoint: the newest savepoint.
    :param checkpoint: the newest checkpoint of the last job.
    :param newest: the newer of the two, or what the last job was started from; None where that is not certain.
    :param why: how the newest was found, or what was looked at where there is none: one sentence.
    :param looked_at: what was not taken, and why: one clause each.
    :param hidden: why the checkpoints could not be seen; None where they could, or there is no job.
    """

    savepoint: ResumePoint | None = None
    checkpoint: ResumePoint | None = None
    newest: ResumePoint | None = None
    why: str = ""
    looked_at: tuple[str, ...] = ()
    hidden: str | None = None


Look = Callable[[], KnownState]
"""Looks at what is there. A disk of the network's may let it wait."""


@dataclass(frozen=True)
class Resolved:
    """What a ``savepoint_path`` stands for.

    :param path: where to resume from; None for a start without state.
    :param kind: what lies there; None for a path as given, and without one.
    :param why: how it was found: one sentence, for the log.
    :param is_chosen: whether it was looked for, and not given.
    :param lost_on_cancel: its job has not ended, and is not known to keep it when it is cancelled.
    """

    path: str | None
    kind: Kind | None
    why: str
    is_chosen: bool = False
    lost_on_cancel: bool = False


def resolve(
    hook: DinkyHook,
    dinky_task_id: int,
    wanted: str | None,
    *,
    if_no_state: str = "fail",
    job_manager_address: str | None = None,
    left_by: str | None = None,
) -> Resolved:
    """Find out what a ``savepoint_path`` stands for. A path is taken as given.

    :param wanted: a path; None or an empty text for no state; or one of ``latest`` (the newest savepoint that Dinky
        knows), ``latest-checkpoint`` (the newest completed checkpoint of the last job that is still there),
        ``latest-state`` (the newer of the two).
    :param if_no_state: what to do where nothing is known: ``fail``, or a ``fresh`` start without state. Where nobody
        could look, it fails in any case: a start without state would throw away what is there.
    :param job_manager_address: ``host:port`` of the job manager; for a connection without credentials.
    :param left_by: a sentence on the last job, whose state is looked for though nobody has asked for it. Then
        ``fresh`` counts for a connection without credentials, too, which may not look.
    :raises DinkyTaskError: nothing is known, or nobody may look; says what was looked at and what to do.
    :raises DinkyError: Dinky does not answer.
    """
    path = path_of(wanted, hook.dinky_conn_id)
    if path is None:
        return Resolved(None, None, "A start without state, as wanted")
    config = hook.config
    if path not in WANTED:
        _check_spelling(path, hook.dinky_conn_id)
        return Resolved(path, None, config.redact(f"Resuming from {path}, as given"))
    asked = f"connection '{hook.dinky_conn_id}': savepoint_path '{path}' of Dinky task {dinky_task_id}"
    if path == "latest" and not config.has_credentials:
        raise DinkyTaskError(
            f"{asked}: only a signed-in user is told which savepoints there are. Put a Dinky user and password into "
            "the connection, or give the path itself"
        )
    job = hook.get_latest_job_instance(dinky_task_id)
    known = hook.client.run(known_state_steps(config, dinky_task_id, job, job_manager_address))()
    point = {"latest": known.savepoint, "latest-checkpoint": known.checkpoint}.get(path, known.newest)
    looked_at = known.looked_at
    if point is not None and point.is_earlier and left_by is not None:
        looked_at += (f"{point.kind} {point.path} is of an earlier job",)
        point = None
    if point is not None:
        why = config.redact(_chosen(path, point, known))
        return Resolved(point.path, point.kind, why, True, point.lost_on_cancel)
    looked = config.redact("; ".join(looked_at))
    unseen = known.hidden or (job is not None and not config.has_credentials)
    may_be_blind = left_by is not None and not config.has_credentials
    may_be_fresh = path == "latest" or not unseen or may_be_blind
    if if_no_state == "fresh" and may_be_fresh:
        return Resolved(None, None, f"A start without state, since none is known: {looked}", True)
    other = {
        "latest-checkpoint": known.newest and "'latest-state'",
        "latest-state": known.savepoint and "'latest'",
    }
    instead = f" or {other[path]}" if other.get(path) else ""
    if left_by is not None:
        raise DinkyTaskError(
            f"connection '{hook.dinky_conn_id}': {left_by}, and no state of it is known that a new job could resume "
            f"from: {looked}. Nothing was started. Give savepoint_path, or start without state (if_no_state='fresh')"
        )
    fresh = "if_no_state='fresh', or no savepoint_path" if may_be_fresh else "no savepoint_path"
    raise DinkyTaskError(
        f"{asked}: no such state is known: {looked}. Give the path itself{instead}, or start without state ({fresh})"
    )


def known_state_steps(
    config: DinkyConfig,
    dinky_task_id: int,
    job: JobInstance | None,
    job_manager_address: str | None = None,
) -> Generator[ApiCall[Any], Any, Look]:
    """The calls that find out what state of a task is known.

    Without credentials savepoints are only those that Flink lists itself, if the connection allows to ask it.

    :param job: the task's newest run; None for one that never ran.
    :param job_manager_address: ``host:port`` of the job manager; needed only without credentials.
    :return: what then looks which of it is there, on this machine's disks too: nothing to call on an event loop.
    :raises DinkyError: Dinky does not answer.
    """
    # Savepoints first: then Flink, asked after that, lists all that are of the last job.
    savepoints: Sequence[Savepoint] = ()
    if config.has_credentials:
        savepoints = yield calls.list_savepoints(dinky_task_id)
    view, hidden = None, None
    if job is not None:
        try:
            view = yield from flink_view_steps(
                config, job.id, job.job_id, job_manager_address, fresh=job.status.is_active
            )
        except FlinkNotVisibleError as error:
            hidden = str(error)

    def look() -> KnownState:
        known = choose(job, view, savepoints, hidden=hidden, has_list=config.has_credentials)
        looked_at = tuple(map(config.redact, known.looked_at))
        return replace(known, why=config.redact(known.why), looked_at=looked_at)

    return look


def choose(
    job: JobInstance | None,
    view: FlinkView | None,
    savepoints: Sequence[Savepoint],
    *,
    hidden: str | None = None,
    has_list: bool = True,
    exists: Exists = on_disk,
) -> KnownState:
    """Which state is known and there, and which is the newest. Pure but for ``exists``.

    :param job: the task's newest run.
    :param view: what Flink knows of it.
    :param savepoints: what Dinky knows, newest first.
    :param hidden: why there is no view.
    :param has_list: whether Dinky could be asked for savepoints.
    :param exists: whether there is something at a path; None where that cannot be seen.
    """
    return _Choice(job, view, tuple(savepoints), hidden, has_list, exists).known()


@dataclass
class _Choice:
    job: JobInstance | None
    view: FlinkView | None
    savepoints: tuple[Savepoint, ...]
    hidden: str | None
    has_list: bool
    exists: Exists

    def __post_init__(self) -> None:
        self.looked_at: list[str] = []

    def known(self) -> KnownState:
        savepoint = self._savepoint()
        own = self._own_checkpoint()
        started_from = self._started_from()
        checkpoint = own or (started_from if started_from and started_from.kind == "checkpoint" else None)
        if savepoint is None and started_from and started_from.kind == "savepoint":
            savepoint = started_from
        newest, why = self._newest(savepoint, own, started_from)
        if newest and self.view and self.view.problem:
            why += f", by what Flink said last: {self.view.problem}"
        return KnownState(savepoint, checkpoint, newest, why, tuple(self.looked_at), self.hidden)

    def _newest(
        self, savepoint: ResumePoint | None, own: ResumePoint | None, started_from: ResumePoint | None
    ) -> tuple[ResumePoint | None, str]:
        if self.hidden and not (savepoint and self._ended_with(savepoint.path)):
            return None, "; ".join(self.looked_at)
        if savepoint and own:
            of_last = self._of_last_job(savepoint.path)
            if of_last and self._is_newer(savepoint, own):
                return savepoint, f"it is newer than the last job's newest checkpoint {own.path}"
            older = "the job's" if of_last else "an earlier job's"
            return own, f"it is newer than {older} savepoint {savepoint.path}"
        if own:
            return own, "no savepoint is known"
        if savepoint and self._of_last_job(savepoint.path):
            return savepoint, "no checkpoint of the last job is there"
        if started_from:
            return started_from, "the last job was started from it and has none of its own"
        if savepoint:
            return replace(savepoint, is_earlier=True), "no state of the last job is there"
        return None, "; ".join(self.looked_at)

    # Savepoints.

    def _savepoint(self) -> ResumePoint | None:
        for path in self._savepoints_by_age():
            listed, exists = self._listed(path), self.exists(path)
            if exists or (exists is None and not (listed and listed.discarded)):
                job_id = self.job.job_id if self.job and self._of_last_job(path) else None
                return ResumePoint(path, "savepoint", job_id, listed.completed_at if listed else None)
            self.looked_at.append(f"savepoint {path} is gone")
        if not self.savepoints:
            self.looked_at.append(
                "Dinky knows no savepoint of the task"
                if self.has_list
                else "without a sign-in Dinky does not list savepoints"
            )
        return None

    def _savepoints_by_age(self) -> list[str]:
        """Newest first: those that Dinky knows, and those that only Flink lists, which are of the last job."""
        known = [savepoint.path for savepoint in self.savepoints if savepoint.path]
        of_flink = [
            one.path for one in self._in_flink() if one.is_savepoint and not one.discarded and one.path
        ]
        only_flinks = [path for path in of_flink if not any(same_place(path, other) for other in known)]
        for path in reversed(only_flinks):
            number = self._number(path)
            newer = [
                at
                for at, other in enumerate(known)
                if self._number(other) > number or self._ended_with(other)
            ]
            known.insert(newer[-1] + 1 if newer else 0, path)
        return known

    def _is_newer(self, savepoint: ResumePoint, own: ResumePoint) -> bool:
        """Whether a savepoint of the last job is newer than a checkpoint of it."""
        if self._listed(savepoint.path):
            return self._number(savepoint.path) > self._number(own.path)
        return self._ended_with(savepoint.path)

    def _ended_with(self, path: str) -> bool:
        """Whether the last job was stopped with this savepoint, after Flink was last asked about it."""
        ended = self._status() in (JobStatus.FINISHED, JobStatus.CANCELED)
        went_on = any(one.path == path and str(one.type).lower() == "trigger" for one in self.savepoints)
        return ended and not went_on and not self._listed(path) and self._of_last_job(path)

    def _of_last_job(self, path: str) -> bool:
        if self._listed(path):
            return True
        return self.job is not None and is_savepoint_of(path, self.job.job_id)

    # Checkpoints.

    def _own_checkpoint(self) -> ResumePoint | None:
        if self.job is None:
            self.looked_at.append("the task never ran, so there is no checkpoint")
            return None
        if self.view is None:
            self.looked_at.append(f"checkpoints could not be seen: {self.hidden or 'nobody was asked'}")
            return None
        checkpoint = self.view.newest_checkpoint
        run = f"its last job (job instance {self.job.id}, {self._status()})"
        if checkpoint is None:
            off = "has checkpointing off" if self.view.checkpointing is False else "completed no checkpoint"
            self.looked_at.append(f"{run} {off}, says {self.view.source}")
            return None
        gone = self._gone(checkpoint)
        if gone or checkpoint.path is None:
            where = checkpoint.path or f"number {checkpoint.number}"
            self.looked_at.append(f"the newest checkpoint of {run}, {where}, {gone or 'has no address'}")
            return None
        lost_on_cancel = not self._status().is_final and self.view.retention != "on_cancellation"
        return ResumePoint(
            checkpoint.path, "checkpoint", self.job.job_id, checkpoint.completed_at, lost_on_cancel
        )

    def _gone(self, checkpoint: Checkpoint) -> str | None:
        """Why a checkpoint is not there any more, or not known to be; None if it is."""
        if self.view is None:
            return "is not visible"
        exists = self.exists(checkpoint.path) if checkpoint.path else None
        if exists is not None:
            return None if exists else "is gone"
        status, retention = self._status(), self.view.retention
        if status == JobStatus.FINISHED and retention is not None:
            return "was deleted: Flink keeps none of a job that has finished"
        kept = retention == "on_cancellation" or (status == JobStatus.FAILED and retention == "on_failure")
        if status.is_final and retention is not None and not kept:
            how = "failed" if status == JobStatus.FAILED else "was cancelled"
            return (
                f"was deleted: the job did not keep its checkpoints when it {how} "
                "(execution.checkpointing.externalized-checkpoint-retention)"
            )
        if checkpoint.discarded:
            return "was discarded by Flink"
        if status.is_final and retention is None:
            return "may be gone: nobody tells whether Flink keeps the checkpoints of this job when it ends"
        return None

    def _started_from(self) -> ResumePoint | None:
        view = self.view
        if view is None or not view.restored_from or view.newest_checkpoint is not None:
            return None
        path, is_own = (
            view.restored_from,
            bool(self.job and self.job.job_id and self.job.job_id in view.restored_from),
        )
        # A job that went on after a failure was restored from a checkpoint of its own.
        gone = self._gone(Checkpoint(path, False, None, False)) if is_own else None
        if gone or self.exists(path) is False:
            self.looked_at.append(f"what the last job was restored from, {path}, {gone or 'is gone'}")
            return None
        return ResumePoint(path, "savepoint" if view.restored_savepoint else "checkpoint")

    # What Flink says.

    def _status(self) -> JobStatus:
        if self.view is not None and self.view.state:
            return JobStatus(self.view.state)
        return self.job.status if self.job else JobStatus.UNKNOWN

    def _in_flink(self) -> tuple[Checkpoint, ...]:
        return self.view.checkpoints if self.view else ()

    def _listed(self, path: str) -> Checkpoint | None:
        return next((one for one in self._in_flink() if one.path and same_place(one.path, path)), None)

    def _number(self, path: str) -> int:
        listed = self._listed(path)
        return listed.number if listed else -1


def _chosen(wanted: str, point: ResumePoint, known: KnownState) -> str:
    what = f"{wanted} is {point.kind} {point.path}"
    if wanted == "latest-checkpoint":
        return f"{what}: the newest checkpoint of the last job"
    if wanted == "latest-state":
        return f"{what}: {known.why}"
    gone = [clause for clause in known.looked_at if clause.startswith("savepoint ")]
    return "; ".join([f"{what}: the newest savepoint that is known", *gone])


def _check_spelling(path: str, conn_id: str) -> None:
    if not set(path) & set("/:\\"):
        raise DinkyConfigError(
            f"connection '{conn_id}': savepoint_path must be a path or one of {', '.join(WANTED)}, not '{path}'"
        )
