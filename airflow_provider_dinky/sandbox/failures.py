# SPDX-License-Identifier: Apache-2.0
"""The exceptions a real Dinky and Flink were seen to fail with, link by link."""

from __future__ import annotations

from .java import Throwable


def from_text(text: str, default_kind: str) -> Throwable:
    """Return ``java.some.Exception: message`` as an exception; a bare message gets ``default_kind``."""
    kind, colon, message = text.partition(": ")
    if colon and "." in kind and " " not in kind:
        return Throwable(kind, message)
    return Throwable(default_kind, text)


def sql_rejected(statement: str, error: str | None) -> Throwable:
    """Flink's planner does not accept ``statement``."""
    reason = from_text(
        error or "Non-query expression encountered in illegal context",
        "org.apache.calcite.runtime.CalciteException",
    )
    parse = Throwable("org.apache.calcite.sql.parser.SqlParseException", reason.message, reason)
    planner = parse.wrapped_in(
        "org.apache.flink.table.api.SqlParserException", f"SQL parse failed. {reason.message}"
    )
    return executing(statement, planner)


def savepoint_missing(statement: str, job_name: str, path: str) -> Throwable:
    """The savepoint to resume from is not there."""
    shown = path[len("file:") :] if path.startswith("file:") else path
    missing = Throwable(
        "java.io.FileNotFoundException",
        f"Cannot find checkpoint or savepoint file/directory '{shown}' on file system 'file'.",
    )
    start = (
        missing.wrapped_in("java.lang.RuntimeException")
        .wrapped_in("java.util.concurrent.CompletionException")
        .wrapped_in(
            "org.apache.flink.runtime.client.JobInitializationException", "Could not start the JobMaster."
        )
        .wrapped_in("java.lang.RuntimeException")
    )
    return _not_executed(statement, job_name, start)


def cluster_unreachable(statement: str, job_name: str, address: str) -> Throwable:
    """The cluster does not answer when the job is sent to it."""
    refused = connection_refused(address)
    client = refused.wrapped_in("java.util.concurrent.CompletionException").wrapped_in(
        "org.apache.flink.runtime.client.JobSubmissionException", "Failed to submit JobGraph."
    )
    return _not_executed(statement, job_name, client)


def connection_refused(address: str) -> Throwable:
    """Nothing listens at ``address``."""
    return Throwable("java.net.ConnectException", f"Connection refused: {address}")


def several_statements(statement: str) -> Throwable:
    """``EXECUTE STATEMENT SET`` is more than the one statement that Dinky hands to Flink."""
    refused = Throwable(
        "org.apache.flink.table.api.TableException",
        "Unsupported SQL query! executeSql() only accepts a single SQL statement of type CREATE TABLE, DROP "
        "TABLE, ALTER TABLE, CREATE DATABASE, INSERT INTO, SELECT, SHOW TABLES, USE CATALOG, EXPLAIN ...",
    )
    return executing(statement, refused)


def gave_up_waiting(statement: str, job_name: str) -> Throwable:
    """Dinky has waited for the job long enough. It may come up all the same."""
    waited = Throwable("java.util.concurrent.TimeoutException", "The job was not up within 120 seconds")
    return _not_executed(statement, job_name, waited)


def met_at_run_time(error: str | None) -> Throwable:
    """A running job met an error."""
    return from_text(error or "java.lang.RuntimeException: the job failed", "java.lang.RuntimeException")


def failed_at_run_time(error: str | None) -> Throwable:
    """A running job met an error and the cluster has no restart strategy."""
    return no_recovery(met_at_run_time(error))


def no_recovery(reason: Throwable) -> Throwable:
    """The cluster has no restart strategy."""
    return reason.wrapped_in(
        "org.apache.flink.runtime.JobException", "Recovery is suppressed by NoRestartBackoffTimeStrategy"
    )


TASK_MANAGER_LOST = failed_at_run_time(
    "java.util.concurrent.TimeoutException: "
    "Heartbeat of TaskManager with id 127.0.0.1:46305-7f4b94 timed out."
)

NO_FREE_SLOT = (
    Throwable("java.util.concurrent.TimeoutException", "Timeout has occurred: 300000 ms")
    .wrapped_in(
        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException",
        "Slot request bulk is not fulfillable! Could not allocate the required slot within slot request timeout",
    )
    .wrapped_in("java.util.concurrent.CompletionException")
    .wrapped_in(
        "org.apache.flink.runtime.JobException", "Recovery is suppressed by NoRestartBackoffTimeStrategy"
    )
)

STATE_DOES_NOT_FIT = Throwable(
    "org.apache.flink.util.StateMigrationException",
    "For heap backends, the new state serializer "
    "(org.apache.flink.table.runtime.typeutils.RowDataSerializer@7a1bf9f3) must not be incompatible with the "
    "old state serializer (org.apache.flink.table.runtime.typeutils.RowDataSerializer@d4b2b0c8).",
).wrapped_in("java.lang.RuntimeException", "Error while getting state")

NO_SAVEPOINT_DIRECTORY = (
    "Config key [state.savepoints.dir] is not set. Property [target-directory] has to be provided."
)

SAVEPOINT_FAILED = (
    Throwable(
        "org.apache.flink.runtime.checkpoint.CheckpointException",
        "Checkpoint triggering task of job is not being executed at the moment. Aborting checkpoint.",
    )
    .wrapped_in("java.util.concurrent.ExecutionException")
    .wrapped_in("java.lang.RuntimeException")
)

JOB_NOT_RUNNING = Throwable(
    "java.lang.IllegalArgumentException",
    "[Assertion failed] - this argument is required; it must not be null",
).wrapped_in("java.lang.RuntimeException")
"""What Dinky answers to a savepoint of a job that Flink does not run any more."""


NO_GATEWAY = (
    Throwable("java.lang.IllegalArgumentException", "protocol = http host = null")
    .wrapped_in("java.io.IOException", "Failed to select a proxy")
    .wrapped_in("cn.hutool.core.io.IORuntimeException", "IOException: Failed to select a proxy")
    .wrapped_in("java.lang.RuntimeException")
)
"""What the development line of 1.2 answers to every savepoint on a session cluster."""


NO_VERTEX = Throwable(
    "org.apache.flink.runtime.rest.handler.HandlerRequestException",
    'Cannot resolve path parameter (vertexid) from value "".',
).wrapped_in(
    "org.apache.flink.runtime.rest.handler.RestHandlerException",
    'Bad request, could not parse parameters: Cannot resolve path parameter (vertexid) from value "".',
)

ROLLBACK_FAILS = Throwable(
    "cn.hutool.core.convert.ConvertException", "Unsupported source type: class java.lang.String"
).wrapped_in("java.lang.RuntimeException")

NO_SUCH_VERSION = Throwable(
    "java.lang.NullPointerException",
    'Cannot invoke "org.dinky.data.model.TaskVersion.getTaskConfigure()" because "taskVersion" is null',
).wrapped_in("java.lang.RuntimeException")


def no_such_column(text: str) -> Throwable:
    """What a Dinky with an H2 database makes of a filter by name: it puts double quotes around the text."""
    sql = (
        f'SELECT COUNT(*) AS total FROM dinky_task a WHERE 1 = 1 AND a.name LIKE "{text}" AND a.tenant_id = 1'
    )
    missing = f'Column "{text}" not found; SQL statement:\n{sql} [42122-200]'
    kind = "org.h2.jdbc.JdbcSQLSyntaxErrorException"
    message = (
        f"\n### Error querying database.  Cause: {kind}: {missing}\n"
        "### The error may exist in class path resource [mapper/TaskMapper.xml]\n"
        "### The error may involve org.dinky.mapper.TaskMapper.selectForProTable_mpCount\n"
        "### The error occurred while executing a query\n"
        f"### SQL: {sql}\n### Cause: {kind}: {missing}\n"
        f"; bad SQL grammar []; nested exception is {kind}: {missing}"
    )
    return Throwable("org.springframework.jdbc.BadSqlGrammarException", message, Throwable(kind, missing))


def job_not_found(jid: str) -> Throwable:
    """Flink's REST API does not know the job."""
    unknown = Throwable(
        "org.apache.flink.runtime.messages.FlinkJobNotFoundException", f"Could not find Flink job ({jid})"
    )
    return unknown.wrapped_in("org.apache.flink.runtime.rest.NotFoundException", f"Job {jid} not found")


def _not_executed(statement: str, job_name: str, cause: Throwable) -> Throwable:
    job = cause.wrapped_in("org.apache.flink.util.FlinkException", f"Failed to execute job '{job_name}'.")
    return executing(
        statement, job.wrapped_in("org.apache.flink.table.api.TableException", "Failed to execute sql")
    )


def executing(statement: str, cause: Throwable) -> Throwable:
    """Dinky numbers the lines of the statement that failed and wraps the exception twice."""
    last = [part.strip() for part in statement.split(";") if part.strip()][-1:]
    lines = "".join(last).splitlines()
    numbered = "\n".join(f"{number}     {line}" for number, line in enumerate(lines, start=1))
    message = f"Exception in executing FlinkSQL:\n{numbered}\n\n{cause.message}"
    return cause.wrapped_in("java.lang.Exception", message).wrapped_in("java.lang.RuntimeException")
