# SPDX-License-Identifier: Apache-2.0
"""One poll loop per event loop and connection, for all the jobs that a triggerer watches.

:func:`follow` is what a trigger calls. The way of the data: the :class:`~.watcher.Watcher` asks Dinky for the jobs
that the :class:`~.schedule.Schedule` says are due, unless the :class:`~.breaker.Breaker` holds it back, and tells
each :class:`~.subscription.Subscription` what it saw; the subscription wakes its subscriber if that is news.
:func:`board` is for whoever watches tasks, whichever job they have; :func:`ask` is for a question beside all that.
"""

from __future__ import annotations

from airflow_provider_dinky.watcher.asking import ask, staying
from airflow_provider_dinky.watcher.boards import Board, WatchedTasks, board, watched_tasks
from airflow_provider_dinky.watcher.following import follow
from airflow_provider_dinky.watcher.subscription import Subscription

__all__ = ["Board", "Subscription", "WatchedTasks", "ask", "board", "follow", "staying", "watched_tasks"]
