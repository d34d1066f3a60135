# SPDX-License-Identifier: Apache-2.0
"""The savepoint that a task took for a restart before it was cleared.

A clear starts anew, so what the tries before have done counts for nothing, but for this: a job that this very task had
stopped with a savepoint, and had not started again when it died. Without the savepoint the cleared restart would be a
plain start, and the state would be lost. It is used only where it is proved that nothing was started since.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyError
from airflow_provider_dinky.client.status import JobStatus
from airflow_provider_dinky.exceptions import DinkyTaskError
from airflow_provider_dinky.intent import ANNOUNCING, Intent, Step, earlier_keys
from airflow_provider_dinky.savepoints import is_savepoint_of, taken_since

if TYPE_CHECKING:
    from airflow_provider_dinky.client.models import JobInstance
    from airflow_provider_dinky.hooks.dinky import DinkyHook
    from airflow_provider_dinky.submission import Starter

log = logging.getLogger(__name__)

_HISTORY_FAILED = (3, 4)
"""Dinky's states of a submit of which nothing came: failed, cancelled."""
_STOPPED = (JobStatus.FINISHED, JobStatus.CANCELED)
"""How a job ends that is stopped with a savepoint: one that failed may have gone on after its savepoint."""


@dataclass
class BeforeClear:
    """What the tries before the last clear have left of a restart.

    :param starter: whose run it is, and what it has written down.
    """

    hook: DinkyHook
    starter: Starter

    def wait_until_over(self) -> None:
        """Let what was sent before the clear come to its end, so that nothing is done beside it.

        :raises DinkyError: Dinky cannot be asked; nothing was touched.
        """
        earlier = self._left
        if earlier is None or not (earlier.step in ANNOUNCING or earlier.step is Step.STOPPED):
            return
        pace, waiting = self.starter.pace, False
        for pause in pace.pauses():
            left = earlier.settled_at - pace.now()
            if left <= 0 or self._is_over(earlier):
                return
            if not waiting:
                log.info(
                    "Before it was cleared, this task has got as far as '%s' with Dinky task %s, which may be under "
                    "way; waiting until that is sure",
                    earlier.step.value,
                    self.starter.dinky_task_id,
                )
            waiting = True
            pace.sleep(min(pause, max(0.05, left)))

    @contextmanager
    def not_forgotten(self) -> Iterator[None]:
        """As long as this run has written down nothing itself, its errors say what the tries before have left."""
        try:
            yield
        except (DinkyError, DinkyTaskError) as error:
            earlier = self._left
            is_open = earlier is not None and earlier.step not in (Step.RETURNED, Step.STARTED)
            if earlier is None or not is_open or self.starter.journal.last() is not None:
                raise
            if earlier.taken and earlier.taken in str(error):
                raise
            stopped = (
                f"has stopped the job with savepoint {earlier.taken}"
                if earlier.taken
                else "may have stopped the job with a savepoint: find it in Dinky under the task's savepoints"
            )
            raise DinkyTaskError(
                f"{error}\nBefore it was cleared, this task {stopped}. If no job of Dinky task "
                f"{self.starter.dinky_task_id} runs, resume it from that"
            ) from error

    def stopped(self, old: JobInstance, path: str | None) -> Intent | None:
        """The entry to go on from, if this task had stopped the job with a savepoint before it was cleared.

        The log says in one line what was chosen and why.

        :param old: the task's newest job instance, which has ended.
        :param path: the path that was asked for, which comes first; the savepoint is the way back then.
        :return: the entry, as of this run; None if the start is a plain one.
        """
        if next(iter(earlier_keys(self.starter.run_key)), None) is None:
            return None
        earlier, taken = self._left, self._taken(old)
        in_place = earlier is None or earlier.baseline == old.id
        if taken and in_place and old.status in _STOPPED and is_savepoint_of(taken, old.job_id):
            log.warning(
                "Resuming from %s: before it was cleared, this task has stopped job instance %s%s with savepoint %s, "
                "and nothing was started since",
                path or taken,
                old.id,
                "" if earlier is None or earlier.taken else ", as far as Dinky's list tells,",
                taken,
            )
            entry = earlier or Intent(self.starter.run_key, Step.STOPPED, 0.0, 0.0)
            return replace(
                entry.then(Step.STOPPED, job={}, baseline=old.id, taken=taken, resume_from=path or taken),
                run_key=self.starter.run_key,
            )
        return None

    def _taken(self, old: JobInstance) -> str | None:
        earlier = self._left
        return self._savepoint_of(earlier, old) if earlier is not None else self._refused_start_from(old)

    @cached_property
    def _left(self) -> Intent | None:
        entry = self.starter.journal.before_the_clear()
        return entry if entry is not None and entry.is_of_a_restart else None

    def _is_over(self, earlier: Intent) -> bool:
        newest = self.hook.get_latest_job_instance(self.starter.dinky_task_id)
        if newest is None or newest.id > max(earlier.baseline, earlier.newest):
            return True
        if earlier.step not in (Step.STOP, Step.STOPPED):
            return False
        newest = self.hook.refresh_job_instance(newest.id)
        if not newest.status.is_final:
            return False
        return not self.hook.config.has_credentials or self._savepoint_of(earlier, newest) is not None

    def _savepoint_of(self, earlier: Intent, old: JobInstance) -> str | None:
        if earlier.taken is not None or earlier.step not in (Step.STOP, Step.ENDPOINT):
            return earlier.taken
        if earlier.baseline != old.id:
            return None
        return taken_since(self.hook, self.starter.dinky_task_id, earlier.known_savepoint_id or 0, old.job_id)

    def _refused_start_from(self, old: JobInstance) -> str | None:
        """Where nothing was written down: the savepoint of the job, if the newest submit was ours from it, and failed.

        What Dinky's history shows is proof enough that nothing was started since. That a savepoint was taken by us it
        does not show, but this task itself was to start from it.
        """
        if self.starter.journal.is_kept or not self.hook.config.has_credentials:
            return None
        newest = self.hook.client.send(calls.list_history(self.starter.dinky_task_id, limit=1))
        if not newest or newest[0].status not in _HISTORY_FAILED:
            return None
        key, config = str(newest[0].run_key), newest[0].settings
        if config is None or not any(
            key == earlier or key.startswith(f"{earlier}/") for earlier in earlier_keys(self.starter.run_key)
        ):
            return None
        taken = self._listed(old)
        return taken if taken and taken == newest[0].savepoint_path else None

    def _listed(self, old: JobInstance) -> str | None:
        return taken_since(self.hook, self.starter.dinky_task_id, 0, old.job_id) if old.job_id else None

    def say_what_to_look_at(self, old: JobInstance) -> None:
        """Say, before a start without state, what state there may be where nothing is proved."""
        if next(iter(earlier_keys(self.starter.run_key)), None) is None:
            return
        earlier, taken = self._left, self._taken(old)
        remedy = "To resume from a savepoint, stop the new job and give savepoint_path"
        if taken and not is_savepoint_of(taken, old.job_id):
            log.warning(
                "Starting without state: savepoint %s, which this task took before it was cleared, is not used, since "
                "job instance %s was started after it. %s",
                taken,
                old.id,
                remedy,
            )
            return
        listed = self._listed(old) if old.status in _STOPPED else None
        if listed or taken:
            log.warning(
                "Starting without state: there is savepoint %s of job instance %s, which is %s, but that this task has "
                "taken it for a restart, before it was cleared, is not proved. %s",
                listed or taken,
                old.id,
                old.status,
                remedy,
            )
        elif self._may_be_unseen(earlier):
            log.warning(
                "Starting without state: whether this task, before it was cleared, has stopped job instance %s with a "
                "savepoint is not known. Look into the logs of its earlier tries, and at the task's savepoints in "
                "Dinky. %s",
                old.id,
                remedy,
            )

    def _may_be_unseen(self, earlier: Intent | None) -> bool:
        """Whether a savepoint may have been taken of which nobody here can know."""
        if self.starter.journal.is_kept:
            return earlier is not None and earlier.step in (Step.STOP, Step.ENDPOINT)
        return not self.hook.config.has_credentials
