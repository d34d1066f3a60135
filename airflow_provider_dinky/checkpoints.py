# SPDX-License-Identifier: Apache-2.0
"""Whether a job has completed a checkpoint, which proves more than RUNNING: its state can be written, too."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_dinky.client.errors import (
    CheckpointingOffError,
    DinkyConnectionError,
    DinkyError,
    FlinkNotVisibleError,
)
from airflow_provider_dinky.flink_view import flink_view_steps

if TYPE_CHECKING:
    from airflow_provider_dinky.client.calls import ApiCall
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.followed import FollowedJob

log = logging.getLogger(__name__)


def check_visible(config: DinkyConfig) -> None:
    """Whether checkpoints can be seen at all over a connection.

    :raises FlinkNotVisibleError: its settings do not allow to look.
    """
    if not config.has_credentials and not config.allow_flink_rest:
        raise FlinkNotVisibleError(
            f"connection '{config.name}': nothing was started, since checkpoints could not be seen: put a Dinky user "
            "and password into the connection, or allow Flink's REST API (allow_flink_rest)",
            forbidden=True,
        )


def first_checkpoint_steps(
    config: DinkyConfig, job: FollowedJob, *, fresh: bool = True
) -> Generator[ApiCall[Any], Any, bool]:
    """The calls that tell whether the job has completed a checkpoint (not a savepoint) since it was started.

    While Flink does not tell, the answer is no.

    :param fresh: whether Dinky is to ask Flink now.
    :raises CheckpointingOffError: it never will.
    :raises FlinkNotVisibleError: the connection's settings do not allow to look.
    :raises DinkyConnectionError: Dinky does not answer.
    """
    try:
        view = yield from flink_view_steps(
            config, job.job_instance_id, job.job_id, job.job_manager_address, fresh=fresh
        )
    except FlinkNotVisibleError as error:
        if error.forbidden:
            raise
        log.debug("No checkpoints of %s are seen: %s", job, error)
        return False
    except DinkyConnectionError:
        raise
    except DinkyError as error:
        log.debug("No checkpoints of %s are seen: %s", job, error)
        return False
    if view.checkpointing is False:
        raise CheckpointingOffError(
            f"connection '{config.name}': {job} runs with checkpointing off, so none can be waited for. The "
            "job was not touched. Put SET 'execution.checkpointing.interval' = '...' into the task's SQL, or wait for "
            "'running'"
        )
    return any(not checkpoint.is_savepoint for checkpoint in view.checkpoints)
