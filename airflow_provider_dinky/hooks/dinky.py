# SPDX-License-Identifier: Apache-2.0
"""The hook: an Airflow connection, and the verbs a DAG author calls."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dinky._compat import BaseHook, connection_form_widgets, mask_in_logs
from airflow_provider_dinky.client import calls
from airflow_provider_dinky.client.errors import DinkyConfigError, DinkyError, DinkyRefusedError
from airflow_provider_dinky.client.java import root_cause
from airflow_provider_dinky.get_provider_info import (
    CONNECTION_TYPE,
    DEFAULT_CONNECTION,
    EXTRA_FIELDS,
    HIDDEN_FIELDS,
    PLACEHOLDERS,
    RELABELING,
)
from airflow_provider_dinky.hooks.connection import read_connection
from airflow_provider_dinky.parameters import path_of, savepoint_type_of, variables_of

if TYPE_CHECKING:
    from airflow_provider_dinky.client.blocking import DinkyClient
    from airflow_provider_dinky.client.config import DinkyConfig
    from airflow_provider_dinky.client.models import (
        ExplainedStatement,
        JobInstance,
        Lineage,
        Savepoint,
        SavepointResult,
        SubmitResult,
    )
    from airflow_provider_dinky.flink_view import FlinkView
    from airflow_provider_dinky.resume_points import KnownState


class DinkyHook(BaseHook):
    """Talks to the Dinky of an Airflow connection.

    Every method raises :class:`~airflow_provider_dinky.client.errors.DinkyError`, of the kind that says what
    happened. Reads wait out short outages; what starts or stops a job is never sent twice. Use it in a ``with``
    statement, or call :meth:`close`, to close its connections at once.

    :param dinky_conn_id: the Airflow connection. Without credentials in it Dinky is used anonymously.
    """

    conn_name_attr = "dinky_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = CONNECTION_TYPE
    hook_name = "Dinky"

    def __init__(self, dinky_conn_id: str = DEFAULT_CONNECTION) -> None:
        super().__init__()
        self.dinky_conn_id = dinky_conn_id

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Extra fields of the connection form, for Airflow up to 3.1."""
        return connection_form_widgets(EXTRA_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels and placeholders of the standard fields, for Airflow up to 3.1."""
        return {"hidden_fields": HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}

    @cached_property
    def config(self) -> DinkyConfig:
        """The connection's settings, checked."""
        config = read_connection(self.get_connection(self.dinky_conn_id))
        # Airflow hides by itself what is called like a secret, and a header may be called anything.
        mask_in_logs(config.headers.values())
        return config

    @cached_property
    def client(self) -> DinkyClient:
        """The client that all methods share; its connections are kept alive."""
        from airflow_provider_dinky.client.blocking import DinkyClient

        return DinkyClient(self.config)

    def get_conn(self) -> DinkyClient:
        """The client, to send calls that have no method here."""
        return self.client

    def close(self) -> None:
        """Close the connections."""
        if "client" in self.__dict__:
            self.client.close()

    def __enter__(self) -> DinkyHook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_version(self) -> str:
        """Dinky's version."""
        return self.client.send(calls.version())

    def submit_task(
        self,
        dinky_task_id: int,
        savepoint_path: str | None = None,
        variables: Mapping[str, Any] | None = None,
        *,
        run_key: str | None = None,
    ) -> SubmitResult:
        """Start a job of a task. If the task has a running job, this starts a second one beside it.

        The submit is sent once. If its answer is lost, the job is looked for as long as a submit may take.

        :param dinky_task_id: Dinky's id of the task.
        :param savepoint_path: savepoint to resume from; None for a start without state.
        :param variables: values for ``${name}`` in the task's SQL.
        :param run_key: mark that Dinky's history keeps, to recognise the submit; made up if not given.
        :raises DinkyRefusedError: no job was started, and why.
        :raises AmbiguousSubmitError: a job may have been started, and where to look.
        """
        from airflow_provider_dinky.intent import Journal
        from airflow_provider_dinky.submission import Starter

        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        path = path_of(savepoint_path, self.dinky_conn_id)
        given = variables_of(variables, self.dinky_conn_id)
        newest = self.get_latest_job_instance(task_id)
        key = run_key or f"hook/{uuid.uuid4()}"
        starter = Starter(self.client, task_id, key, Journal(None, key))
        return starter.start(path, given or {}, newest.id if newest else 0)

    def restart_task(self, dinky_task_id: int, savepoint_path: str | None = None) -> SubmitResult:
        """Dinky's own restart. Without a path: savepoint, cancel, start from it; with one: cancel, start from that.

        Dinky drops the variables of the running job, and if the new start fails, the job stays down.
        ``RestartTaskOperator`` guards against both.

        :raises DinkyError: with ``outcome_unknown`` if the restart may be under way.
        """
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        path = path_of(savepoint_path, self.dinky_conn_id)
        return self.client.send(calls.restart_task(task_id, path, via_api=self.config.has_credentials))

    def cancel_task(self, dinky_task_id: int, with_savepoint: bool = False, force: bool = True) -> str | None:
        """Stop the newest job of a task; nothing happens if it has ended.

        :param with_savepoint: stop with a savepoint (which ends the job as FINISHED) instead of cancelling.
        :param force: cancel even if Dinky has lost the job's cluster.
        :return: path of the savepoint, or None without one.
        """
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        if with_savepoint:
            return self.trigger_savepoint(task_id, "stop").path
        self.client.send(calls.cancel_task(task_id, force=force, via_api=self.config.has_credentials))
        return None

    def trigger_savepoint(
        self, dinky_task_id: int, savepoint_type: Literal["trigger", "stop", "cancel"] = "trigger"
    ) -> SavepointResult:
        """Take a savepoint of the task's running job.

        :param savepoint_type: ``trigger`` lets the job run on; ``stop`` and ``cancel`` end it with the savepoint.
        :raises DinkyRefusedError: no savepoint was taken, and why.
        """
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        kind = savepoint_type_of(savepoint_type, self.dinky_conn_id)
        call = calls.trigger_savepoint(task_id, kind, via_api=self.config.has_credentials)
        result = self.client.send(call)
        if not result.path:
            reason = self.config.redact(result.error or result.exception_msg or "Dinky names no path")
            raise DinkyRefusedError(
                f"connection '{self.dinky_conn_id}' ({self.config.base_url}): {call.what}: {reason}",
                code=0,
                reason=reason,
            )
        return result

    def get_job_instance(self, job_instance_id: int) -> JobInstance:
        """One run of a task.

        :raises DinkyNotFoundError: Dinky does not know it.
        """
        return self.client.send(
            calls.get_job_instance(checked_id(job_instance_id, "job_instance_id", self.dinky_conn_id))
        )

    def get_latest_job_instance(self, dinky_task_id: int) -> JobInstance | None:
        """The newest run of a task; None if it never ran, or is plain SQL.

        :raises DinkyNotFoundError: Dinky does not know the task.
        """
        return self.client.send(
            calls.get_latest_job_instance(checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id))
        )

    def refresh_job_instance(self, job_instance_id: int) -> JobInstance:
        """The run after Dinky has asked Flink anew; without credentials as Dinky last saw it."""
        if not self.config.has_credentials:
            return self.get_job_instance(job_instance_id)
        instance_id = checked_id(job_instance_id, "job_instance_id", self.dinky_conn_id)
        return self.client.send(calls.refresh_job_info_detail(instance_id)).instance

    def list_savepoints(self, dinky_task_id: int) -> Sequence[Savepoint]:
        """The savepoints Dinky remembers of a task, newest first; needs credentials."""
        return self.client.send(
            calls.list_savepoints(checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id))
        )

    def get_flink_view(
        self, job_instance_id: int, job_id: str | None = None, job_manager_address: str | None = None
    ) -> FlinkView:
        """What Flink knows of a job: its state, checkpoints and failures.

        Signed in, Dinky asks Flink. Without credentials Flink's REST API is asked, for 3 seconds, if the connection
        allows that (``allow_flink_rest``) and both Flink ids are given.

        :param job_instance_id: Dinky's id of the run.
        :param job_id: Flink's id of the job.
        :param job_manager_address: ``host:port`` of the job manager, which the answer of the submit names.
        :raises FlinkNotVisibleError: nobody tells; ``forbidden`` if the connection's settings are the reason.
        """
        from airflow_provider_dinky.flink_view import flink_view_steps

        instance_id = checked_id(job_instance_id, "job_instance_id", self.dinky_conn_id)
        return self.client.run(flink_view_steps(self.config, instance_id, job_id, job_manager_address))

    def get_known_state(self, dinky_task_id: int, job_manager_address: str | None = None) -> KnownState:
        """The newest savepoint and checkpoint of a task that are known and, as far as can be seen, still there.

        :param job_manager_address: ``host:port`` of the job manager; for a connection without credentials.
        """
        from airflow_provider_dinky.resume_points import known_state_steps

        newest = self.get_latest_job_instance(dinky_task_id)
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        return self.client.run(known_state_steps(self.config, task_id, newest, job_manager_address))()

    def get_failure_reason(
        self, job_instance_id: int, job_id: str | None = None, job_manager_address: str | None = None
    ) -> str | None:
        """Why a job failed: the root cause of :meth:`get_failure_trace`; None if nobody tells."""
        return root_cause(self.get_failure_trace(job_instance_id, job_id, job_manager_address))

    def get_failure_trace(
        self, job_instance_id: int, job_id: str | None = None, job_manager_address: str | None = None
    ) -> str | None:
        """Flink's stack trace of a failed job, secrets masked. Best effort: never raises for want of an answer.

        Dinky tells it to signed-in users only. Without credentials Flink's REST API is asked, for 3 seconds, if the
        connection allows that (``allow_flink_rest``) and both Flink ids are given.

        :param job_instance_id: Dinky's id of the run.
        :param job_id: Flink's id of the job.
        :param job_manager_address: ``host:port`` of the job manager, which the answer of the submit names.
        :return: the trace, or None if nobody tells.
        """
        from airflow_provider_dinky.failure import failure_steps

        trace, _ = self.client.run(failure_steps(self.config, job_instance_id, job_id, job_manager_address))
        if not trace:
            return None
        trace = self.config.redact(trace)
        self.log.debug("Whole trace of job instance %s:\n%s", job_instance_id, trace)
        return trace

    def export_sql(self, dinky_task_id: int) -> str:
        """The task's SQL as Dinky would run it. It may hold secrets."""
        return self.client.send(
            calls.export_sql(checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id))
        )

    def explain_sql(
        self, dinky_task_id: int, statement: str | None = None, **settings: Any
    ) -> Sequence[ExplainedStatement]:
        """Dinky's check of SQL, statement by statement; ``error`` is None where it is fine.

        :param dinky_task_id: the task whose settings apply.
        :param statement: the SQL; None for the task's own.
        :param settings: Dinky's task fields to override, in its spelling (``type``, ``clusterId``, ``fragment`` ...).
        """
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        body: dict[str, Any] = {
            "id": task_id,
            "dialect": "FlinkSql",
            "type": "local",
            "fragment": True,
            "statementSet": True,
        }
        if self.config.has_credentials:
            task = self.client.send(calls.get_task(task_id))
            body |= {
                "dialect": task.dialect,
                "type": task.type,
                "clusterId": task.cluster_id,
                "fragment": task.fragment,
                "statementSet": task.statement_set,
                "parallelism": task.parallelism,
                "statement": task.statement,
            }
        if statement is not None:
            body["statement"] = statement
        elif not body.get("statement"):
            body["statement"] = self.export_sql(task_id)
        return self.client.send(calls.explain_sql({**body, **settings}))

    def get_task_lineage(self, dinky_task_id: int) -> Lineage | None:
        """Tables that the task's newest job reads and writes, by the SQL that was submitted.

        Dinky tells it to authenticated users; anonymous ones it answers null for every task in Flink SQL.

        :return: None for a task that never ran, and where Dinky cannot tell.
        """
        task_id = checked_id(dinky_task_id, "dinky_task_id", self.dinky_conn_id)
        if not self.config.has_credentials:
            return self.client.send(calls.get_task_lineage(task_id))
        newest = self.get_latest_job_instance(task_id)
        return None if newest is None else self.client.send(calls.get_job_lineage(newest.id))

    def test_connection(self) -> tuple[bool, str]:
        """What the connection page's Test button shows: version and sign-in, or what to change."""
        from airflow_provider_dinky.client.blocking import DinkyClient
        from airflow_provider_dinky.client.retry import NO_RETRY
        from airflow_provider_dinky.client.session import Session

        try:
            config = replace(self.config, read_timeout=min(self.config.read_timeout, 15.0))
            # A session of its own: a password that was mended in the form a minute ago must be tried.
            with DinkyClient(config, NO_RETRY, session=Session()) as client:
                version = client.send(calls.version())
                if not config.has_credentials:
                    return True, f"Dinky {version} at {config.base_url}, used anonymously"
                client.send(calls.list_latest_job_instances(limit=1))
                who = f"as '{config.username}'" if config.username else "with a token"
                return (
                    True,
                    f"Dinky {version} at {config.base_url}, signed in {who}, tenant {config.tenant_id}",
                )
        except DinkyError as error:
            return False, str(error)


def checked_id(value: Any, field: str, conn_id: str) -> int:
    """A Dinky id out of a parameter, which a template may have rendered to text.

    :raises DinkyConfigError: it is no positive whole number; nothing was sent.
    """
    try:
        text = str(value).strip()
    except ValueError:
        text = "a number too long to write down"
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    if isinstance(value, bool) or not 0 < number < 2**31:
        raise DinkyConfigError(
            f"connection '{conn_id}': {field} must be a positive whole number, Dinky's id of it, not {text[:80]!r}"
        )
    return number
