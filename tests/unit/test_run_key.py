# SPDX-License-Identifier: Apache-2.0
"""The key of a run: the same for all its tries, whatever happens to the DAG meanwhile; another one after a clear."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dinky._compat import is_retry, run_key
from tests.airflow_task import StateStore, new_context


class AirflowTask:
    """What Airflow keeps of a task instance: as it counts tries, and as a clear changes that."""

    def __init__(self, retries: int, *, has_store: bool = True) -> None:
        self.retries = self.max_tries = retries
        self.tries = self.clears = 0
        self.store = StateStore() if has_store else None

    def clear(self) -> None:
        self.max_tries = self.tries + self.retries
        self.clears += 1

    def next_try(self) -> Any:
        """The context of the next try."""
        self.tries += 1
        task = SimpleNamespace(task_id="submit", retries=self.retries)
        context = new_context(task, store=self.store)
        context["ti"].max_tries, context["ti"].try_number = self.max_tries, self.tries
        context["dag_run"] = SimpleNamespace(clear_number=self.clears)
        return context

    def generation(self) -> str:
        return run_key(self.next_try()).rpartition("/")[2]


@pytest.fixture(params=[True, False], ids=["store", "no store"])
def has_store(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_retries_share_it_and_clears_do_not(has_store: bool) -> None:
    task = AirflowTask(2, has_store=has_store)
    assert [task.generation(), task.generation()] == ["0", "0"]
    task.clear()
    assert [task.generation(), task.generation(), task.generation()] == ["2", "2", "2"]
    task.clear()
    assert task.generation() == "5"


@pytest.mark.parametrize("then", [0, 1, 2, 4, 9])
@pytest.mark.parametrize("tries", [1, 2])
def test_retries_that_were_changed_between_two_tries_do_not_change_it(then: int, tries: int) -> None:
    task = AirflowTask(3)
    for _ in range(tries):
        assert task.generation() == "0"
    task.retries = then
    assert [task.generation(), task.generation()] == ["0", "0"]


@pytest.mark.parametrize("then", [0, 1, 2, 4, 9])
def test_a_clear_changes_it_also_after_retries_were_changed(then: int, has_store: bool) -> None:
    task = AirflowTask(3, has_store=has_store)
    seen = {task.generation()}
    for _ in range(3):
        task.retries = then
        task.clear()
        generation = task.generation()
        assert generation not in seen
        seen.add(generation)


def test_after_a_clear_it_outlives_changed_retries_too() -> None:
    task = AirflowTask(1)
    task.generation()
    task.clear()
    assert task.generation() == "1"
    task.retries = 5
    assert task.generation() == "1"


def test_raised_retries_do_not_change_it_even_where_nothing_is_kept() -> None:
    task = AirflowTask(1, has_store=False)
    assert task.generation() == "0"
    task.retries = 5
    assert task.generation() == "0"
    assert is_retry(task.next_try())


@pytest.mark.parametrize("kept", [None, "?", {}, {"generation": "x", "max_tries": 2, "try_number": 1}])
def test_what_cannot_be_read_is_written_anew(kept: Any) -> None:
    task = AirflowTask(2)
    assert task.store is not None
    task.store["dinky_generation"] = kept
    assert task.generation() == "0"
    task.retries = 1
    assert task.generation() == "0"


def test_a_store_that_cannot_be_written_does_not_keep_the_task_from_running() -> None:
    task = AirflowTask(2)

    def away(*args: Any, **kwargs: Any) -> None:
        raise OSError("the API server is away")

    task.store.set = away  # type: ignore[method-assign, union-attr]
    assert task.generation() == "0"
