# SPDX-License-Identifier: Apache-2.0
"""Starting a job once, whatever dies in between.

A submit is never sent again while it may be under way: Dinky carries it out whether or not somebody waits for the
answer, up to many seconds later. So every try first looks for what it, or the try before, has started: by our mark
in Dinky's history (signed in), which proves it; by what was written down before sending; else by inference.
``job.resume`` decides, this module gathers the facts and acts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import (
    AmbiguousSubmitError,
    DinkyError,
    DinkyRefusedError,
)
from airflow_provider_dinky.client.java import gave_up_waiting
from airflow_provider_dinky.client.job_config import JobConfig
from airflow_provider_dinky.client.models import (
    RUN_KEY_VARIABLE,
    DinkyTask,
    HistoryEntry,
    JobInstance,
    SubmitResult,
)
from airflow_provider_dinky.followed import FollowedJob
from airflow_provider_dinky.intent import Intent, Journal, Step
from airflow_provider_dinky.job import (
    Adopt,
    Decision,
    Fail,
    Fate,
    Follow,
    PastSubmit,
    Seen,
    Submit,
    resume,
    submit_of,
)
from airflow_provider_dinky.jobs.gone import is_application
from airflow_provider_dinky.pace import Pace

if TYPE_CHECKING:
    from airflow_provider_dinky.client.blocking import DinkyClient

log = logging.getLogger(__name__)

_FATES = {0: Fate.IN_FLIGHT, 1: Fate.IN_FLIGHT, 2: Fate.ACCEPTED, 3: Fate.FAILED, 4: Fate.FAILED}
"""Dinky's states of a submit in its history: starting, running; accepted; failed, cancelled."""
_NO_JOB_ID = "The JobID or JobManagerAddress is null"
ROWS = 50
"""Submits, or job instances, that one look at Dinky's lists shows: the first look nearly always shows ours."""
MOST_PAGES = 40
"""Looks at ever older ones. What was written down and is not among the newest 2,000 submits of the same Dinky task is
left to a person; where nothing was written down, 2,000 submits between two tries of a run are not reckoned with."""


@dataclass
class Starter:
    """Starts the job of one Dinky task for one run of an Airflow task.

    :param run_key: the mark that proves a submit to be ours.
    :param is_retry: an earlier try of the same run may have sent a submit.

    :ivar guessed: what :meth:`find` has found last may as well be somebody else's: it runs, and that is all that is
        known. It must not be stopped with the task.
    """

    client: DinkyClient
    dinky_task_id: int
    run_key: str
    journal: Journal
    is_retry: bool = False
    pace: Pace = field(default_factory=Pace)
    guessed: bool = field(default=False, init=False)
    _newest_row: int | None = field(default=None, init=False, repr=False)

    def find(self, *, guess: bool = True) -> SubmitResult | None:
        """The job that this run has started before; None if it is to be started (again).

        Waits while a submit of ours may be under way.

        :param guess: whether a retry that knows nothing may take the job that runs for its own.
        :raises AmbiguousSubmitError: nobody can tell.
        """
        self.guessed = False
        stored, began = self.journal.last(), self.pace.now()
        if stored is not None and stored.step is Step.STARTED and not stored.job:
            log.info(
                "Dinky task %s is Common SQL and was done by an earlier try. Its rows are not available any more: "
                "Dinky keeps none, and Airflow has deleted the XCom of that try. The XCom 'result' is not written",
                self.dinky_task_id,
            )
            return SubmitResult(success=True)
        waiting = False
        for pause in self.pace.pauses():
            decision, entry = self._decide(stored, began, guess=guess)
            if isinstance(decision, Submit):
                if stored is not None and stored.step is Step.SUBMIT and entry is None:
                    self._refuse_plain_sql(stored)
                return None
            if isinstance(decision, (Follow, Adopt)):
                self.guessed = isinstance(decision, Adopt) and stored is None
                return self._found(decision, entry, stored)
            if isinstance(decision, Fail):
                raise self._nobody_can_tell(decision.why, stored)
            if not waiting:
                log.info(
                    "A submit of Dinky task %s may be under way; looking until that is sure",
                    self.dinky_task_id,
                )
            waiting = True
            self.pace.sleep(min(pause, max(0.05, decision.until - self.pace.now())))
        raise AssertionError("pauses never end")

    def start(
        self,
        savepoint_path: str | None,
        variables: Mapping[str, Any],
        baseline: int,
        *,
        intent: Intent | None = None,
    ) -> SubmitResult:
        """Send the submit, once, and find its job even if the answer is lost.

        :param baseline: id of the task's newest job instance before; 0 for none.
        :param intent: what has been done before, for the note.
        :raises DinkyRefusedError: Dinky refused it or failed to start the job; nothing runs.
        :raises AmbiguousSubmitError: the answer was lost and no job was found; one may still appear.
        """
        client = self.client
        marked = {**variables, RUN_KEY_VARIABLE: self.run_key}
        call = calls.submit_task(self.dinky_task_id, savepoint_path, marked)
        announced = (intent or Intent(self.run_key, Step.SUBMIT, 0, 0)).then(
            Step.SUBMIT,
            history_baseline=self._history_baseline(),
            sent_at=self.pace.now(),
            patience=client.longest(call),
            baseline=baseline,
            resume_from=savepoint_path,
            job={},
        )
        self.journal.announce(announced)
        try:
            result = client.send(call)
        except DinkyError as error:
            if not error.outcome_unknown and not self._may_come_up(error):
                self.journal.note(announced.then(Step.REFUSED))
                raise
            result = self._look_for(announced, _why_lost(error), error)
        if result.job_instance_id is None and self._is_flink(result):
            announced = announced.then(Step.SUBMIT, job={"job_id": result.job_id})
            self.journal.note(announced)
            result = self._look_for(announced, _no_instance(result))
        self.journal.note(announced.then(Step.STARTED, job=_job(self.dinky_task_id, result)))
        return result

    def _look_for(self, announced: Intent, why: str, error: DinkyError | None = None) -> SubmitResult:
        log.warning("%s; looking for its job. %s", why, error or "")
        deadline = self.pace.now() + self.client.config.submit_timeout
        for pause in self.pace.pauses():
            try:
                decision, entry = self._decide(announced, announced.sent_at, same_try=True)
                if isinstance(decision, (Follow, Adopt)):
                    return self._found(decision, entry, announced)
            except AmbiguousSubmitError:
                raise
            except DinkyError as unreadable:
                # Whatever keeps Dinky from being asked says nothing about the submit.
                log.debug("Dinky cannot be asked yet: %s", unreadable)
            else:
                if isinstance(decision, Submit) and entry is not None:
                    raise self._failed_after_all(announced, entry)
            if self.pace.now() >= deadline:
                break
            self.pace.sleep(pause)
        raise self._lost(announced, why, error) from error

    def _history_baseline(self) -> int | None:
        """Id of the task's newest submit, as far as we have looked; None if Dinky does not show its history."""
        if not self.client.config.has_credentials:
            return None
        seen, self._newest_row = self._newest_row, None
        if seen is None:
            newest = self.client.send(calls.list_history(self.dinky_task_id, limit=1))
            seen = newest[0].id if newest else 0
        return seen

    def _decide(
        self, stored: Intent | None, began: float, *, same_try: bool = False, guess: bool = True
    ) -> tuple[Decision, HistoryEntry | None]:
        known = self._seen(stored.job.get("job_instance_id")) if stored is not None else None
        newest = self.client.send(calls.get_latest_job_instance(self.dinky_task_id))
        job_id = stored.job.get("job_id") if stored is not None and known is None else None
        if job_id is not None and newest is not None and newest.job_id:
            # Dinky's answer has named the job in Flink, so nothing is left to be inferred.
            known, newest = (_as_seen(newest), newest) if newest.job_id == job_id else (None, None)
        entry, past, is_complete = self._past_submits(stored, newest)
        decision = resume(
            stored,
            past,
            _as_seen(newest),
            self.pace.now(),
            known=known,
            began=began,
            patience=self.client.config.submit_timeout,
            is_retry=self.is_retry and not self.journal.is_kept,
            same_try=same_try,
            is_complete=is_complete,
            guess=guess,
        )
        ours = entry if submit_of(stored, past) is not None else None
        if job_id is not None and known is None and ours is None and isinstance(decision, Submit):
            decision = Fail(
                f"an earlier try has started Flink job {job_id}, of which Dinky has no job instance"
            )
        return decision, ours

    def _past_submits(
        self, stored: Intent | None, newest: JobInstance | None
    ) -> tuple[HistoryEntry | None, list[PastSubmit] | None, bool]:
        """Our newest row in Dinky's history, what is known of it, and whether one of ours could not be missed."""
        if not self.client.config.has_credentials:
            return None, None, True
        entry, is_complete = self._our_row(stored)
        if entry is None:
            return None, [], is_complete
        # A state that is not listed is taken for one on its way: waiting is the error that does no harm.
        fate = _FATES.get(entry.status if entry.status is not None else 0, Fate.IN_FLIGHT)
        if fate is Fate.FAILED and gave_up_waiting(entry.error):
            fate = Fate.GAVE_UP
        job = self._instance_of(entry, newest) if fate in (Fate.ACCEPTED, Fate.GAVE_UP) else None
        return entry, [PastSubmit(entry.id, fate, _as_seen(job))], True

    def _our_row(self, stored: Intent | None) -> tuple[HistoryEntry | None, bool]:
        older = (stored.history_baseline if stored is not None else None) or 0
        for page in range(1, MOST_PAGES + 1):
            rows = self.client.send(calls.list_history(self.dinky_task_id, ROWS, page=page))
            if page == 1:
                self._newest_row = rows[0].id if rows else 0
            ours = next((row for row in rows if row.run_key == self.run_key), None)
            if ours is not None or len(rows) < ROWS or rows[-1].id <= older:
                return ours, True
            if stored is None and not self.is_retry:
                break  # nobody has sent anything before
        return None, False

    def _instance_of(self, entry: HistoryEntry, newest: JobInstance | None) -> JobInstance | None:
        if newest is not None and _is_of(newest, entry):
            return newest
        for page in range(1, MOST_PAGES + 1):
            rows = self.client.send(calls.list_job_instances_of_task(self.dinky_task_id, ROWS, page=page))
            for instance in rows:
                # The list does not tell which submit a job is of, and in Flink's application mode the jobs of a
                # cluster share one id.
                if entry.job_id and instance.job_id == entry.job_id:
                    whole = self.client.send(calls.get_job_instance(instance.id))
                    if _is_of(whole, entry):
                        return whole
            if len(rows) < ROWS:
                break
        return None

    def _seen(self, job_instance_id: int | None) -> Seen | None:
        if not job_instance_id:
            return None
        return _as_seen(self.client.send(calls.get_job_instance(job_instance_id)))

    def _found(
        self, decision: Follow | Adopt, entry: HistoryEntry | None, stored: Intent | None
    ) -> SubmitResult:
        job_instance_id = decision.job_instance_id
        if isinstance(decision, Adopt):
            inferred = (
                f"job instance {job_instance_id} is most likely the one this task has started (it is newer than "
                f"instance {stored.baseline or 'none'})"
                if stored is not None
                else f"job instance {job_instance_id} is most likely the one an earlier try of this task has started"
            )
            log.warning("%s; taking it. Sign in to Dinky to have this proved instead of inferred", inferred)
        instance = self.client.send(calls.get_job_instance(job_instance_id))
        address = entry.job_manager_address if entry else None
        config = entry.settings if entry else None
        if stored is not None:
            address = address or stored.job.get("job_manager_address")
            config = config or JobConfig(save_point_path=stored.resume_from)
        return SubmitResult(
            id=instance.history_id,
            job_instance_id=instance.id,
            job_id=instance.job_id,
            job_manager_address=address,
            job_config=config,
            success=True,
        )

    def _failed_after_all(self, announced: Intent, entry: HistoryEntry) -> DinkyRefusedError:
        config = self.client.config
        self.journal.note(announced.then(Step.REFUSED))
        reason = config.redact(entry.error or "no reason given")
        return DinkyRefusedError(
            f"connection '{config.name}' ({config.base_url}): submit of Dinky task {self.dinky_task_id}: "
            f"Dinky's history says: {reason}",
            code=5,
            reason=reason,
        )

    def _refuse_plain_sql(self, stored: Intent) -> None:
        # A task in plain SQL leaves no trace in Dinky, so nobody can tell whether a lost submit of it has run.
        if not self.client.config.has_credentials:
            return
        dialect = self.client.send(calls.get_task(self.dinky_task_id)).dialect or ""
        if not dialect.lower().startswith("flink"):
            raise self._nobody_can_tell(
                f"an earlier try has sent it, its answer was lost, and {dialect or 'such a task'} leaves no trace in "
                "Dinky that would tell whether it has run; clear the task to run it again",
                stored,
            )

    def _nobody_can_tell(self, why: str, stored: Intent | None) -> AmbiguousSubmitError:
        path = stored.resume_from if stored is not None else None
        return self._ambiguous(f"{why}. Nothing was submitted", path)

    def _is_flink(self, result: SubmitResult) -> bool:
        """Whether an answer without a job instance is of a Flink job, and not of Common SQL."""
        task = None if result.job_id else self._shown_task()
        return bool(result.job_id) or (task is not None and (task.dialect or "").lower().startswith("flink"))

    def _may_come_up(self, error: DinkyError) -> bool:
        """Whether a job may come of a refused submit: in application mode Dinky does not wait long for its id."""
        task = self._shown_task() if _NO_JOB_ID in str(error) else None
        return task is not None and is_application(task.type)

    def _shown_task(self) -> DinkyTask | None:
        """The task as Dinky shows it to authenticated users; best effort."""
        with suppress(DinkyError):
            if self.client.config.has_credentials:
                return self.client.send(calls.get_task(self.dinky_task_id))
        return None

    def _lost(self, announced: Intent, why: str, error: DinkyError | None) -> AmbiguousSubmitError:
        sign = (
            f"mark {RUN_KEY_VARIABLE}={self.run_key!r} in the task's history"
            if self.client.config.has_credentials
            else f"job instance of the task newer than {announced.baseline or 'none'}"
        )
        return self._ambiguous(
            f"{why}, and within {self.client.config.submit_timeout:g} s no sign of its job was found (no "
            f"{sign}). It was not sent again",
            announced.resume_from,
            error,
        )

    def _ambiguous(
        self, what: str, path: str | None, error: DinkyError | None = None
    ) -> AmbiguousSubmitError:
        config = self.client.config
        resume_from = f" It was to resume from {path}." if path else ""
        happened = f" What happened: {error}" if error else ""
        return AmbiguousSubmitError(
            f"connection '{config.name}' ({config.base_url}): submit of Dinky task {self.dinky_task_id}: {what}."
            f"{resume_from} Look into Dinky whether a job of the task runs before you start one; a retry of this "
            f"task looks first, too.{happened}"
        )


def _why_lost(error: DinkyError) -> str:
    if isinstance(error, DinkyRefusedError):
        return "Dinky did not wait any longer for the job, which may come up later"
    return "The answer of the submit was lost"


def _no_instance(result: SubmitResult) -> str:
    job = f"Flink job {result.job_id}" if result.job_id else "success"
    return f"Dinky has answered the submit with {job}, but without a job instance"


def _as_seen(instance: JobInstance | None) -> Seen | None:
    return None if instance is None else Seen(instance.id, instance.status)


def _is_of(instance: JobInstance, entry: HistoryEntry) -> bool:
    """Whether a job instance came of a submit: by the submit's id, else by the id of the Flink job."""
    if instance.history_id is not None:
        return instance.history_id == entry.id
    return bool(entry.job_id) and instance.job_id == entry.job_id


def _job(dinky_task_id: int, result: SubmitResult) -> dict[str, Any]:
    if result.job_instance_id is None:
        return {}
    return FollowedJob(
        dinky_task_id, result.job_instance_id, result.job_id, result.job_manager_address, started=True
    ).to_dict()
