# SPDX-License-Identifier: Apache-2.0
"""What to do about reasons that Flink and Dinky are known to give: one table, for errors and for the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_dinky.client.java import causes


@dataclass(frozen=True)
class Remedy:
    """One row of the table.

    :param sign: what the reason is recognised by: the class of an exception, or a phrase that stays the same.
    :param advice: what to do, in one or two sentences.
    :param source: where the reason is described: a public report, or a page of Flink's documentation.
    """

    sign: re.Pattern[str]
    advice: str
    source: str


def _row(sign: str, advice: str, source: str) -> Remedy:
    return Remedy(re.compile(sign, re.IGNORECASE), advice, source)


REMEDIES: tuple[Remedy, ...] = (
    _row(
        r"StateMigrationException|new (?:state|key|namespace|value) serializer .{0,200}must not be incompatible",
        "The changed query does not fit the state it was to resume from: take the change back, or start without state "
        "(no savepoint_path).",
        "dinky#3705",
    ),
    _row(
        r"allowNonRestoredState|There is no operator for the state",
        "The savepoint holds state of an operator that the changed query has no more: take the change back, start "
        "without state (no savepoint_path), or set execution.savepoint.ignore-unclaimed-state to true in the task to "
        "drop that state.",
        "dinky#2273",
    ),
    _row(
        r"max(?:imum)? parallelism.{0,200}(?:mismatch|savepoint|checkpoint|lower|smaller)",
        "Keep the maximum parallelism that the state was written with (pipeline.max-parallelism), or start without "
        "state (no savepoint_path).",
        "Flink documentation: Parallel Execution",
    ),
    _row(
        r"state\.savepoints\.dir|savepoint-dir|No savepoint directory configured",
        "Set state.savepoints.dir in the configuration of the Flink cluster, or of the Dinky task; the job was not "
        "touched.",
        "dinky#1303",
    ),
    _row(
        r"Cannot find (?:checkpoint or savepoint|meta ?data) file"
        r"|FileNotFoundException.{0,300}(?:_metadata|/chk-\d|savepoint-)"
        r"|(?:checkpoint|savepoint).{0,80}No such file",
        "The checkpoint or savepoint to resume from was deleted, or is not where Flink looks: give another path, such "
        'as savepoint_path="latest-state", and keep checkpoints when a job ends '
        "(execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION).",
        "Flink documentation: Checkpoints",
    ),
    _row(
        r"NoResourceAvailableException|Could not acquire the minimum required resources"
        r"|Slot request bulk is not fulfillable",
        "The cluster has too few free task slots: stop what is not needed, lower the parallelism, or add task "
        "managers.",
        "Flink documentation: Flink Architecture (Task Slots and Resources)",
    ),
    _row(
        r"Could not find any factory for identifier|Cannot discover a connector",
        "The connector's or format's JAR is missing, or is for another Flink: put it into Dinky's folder of "
        "extensions for this Flink and into lib of the Flink cluster, and restart both.",
        "dinky#1721",
    ),
    _row(
        r"ClassNotFoundException|NoClassDefFoundError|NoSuchMethodError",
        "A JAR is missing or there in two versions: compare what is in Dinky's folder of extensions with lib of the "
        "Flink cluster, and restart both.",
        "Flink documentation: Debugging Classloading",
    ),
    _row(
        r"Trying to access closed classloader",
        "Set classloader.check-leaked-classloader to false in the Flink configuration, or put the connector's JAR "
        "into lib of the Flink cluster.",
        "Flink documentation: Debugging Classloading",
    ),
    _row(
        r"FlinkJobNotFoundException|Could not find Flink job",
        "Flink does not know the job any more: its cluster was restarted without high availability, or the job has "
        "ended. Start it again from its newest state.",
        "Flink documentation: High Availability",
    ),
    _row(
        r"protocol = http host = null|Failed to select a proxy"
        r"|StringIndexOutOfBoundsException: String index out of range: 0",
        "This Dinky does not find the address of the job manager, so savepoints and restarts fail (seen on development "
        "states of 1.2): update Dinky; meanwhile resume from a checkpoint.",
        "dinky#4347",
    ),
    _row(
        r"ConnectException|UnknownHostException|NoRouteToHostException|Connection refused|集群地址暂不可用"
        r"|Cluster Instance Status Not Health|集群实例状态不健康",
        "What was to be reached does not answer at the address named. If that is the Flink cluster: start it, and "
        "check its address in Dinky's registration centre.",
        "Flink documentation: Deployment Overview",
    ),
    _row(
        r"Flink 集群【.{0,20}】不存在|Cluster Not Exist|集群不存在|cluster configuration does not exist",
        "The task names no Flink cluster that Dinky knows: choose one in the task's settings in Dinky.",
        "dinky#1175",
    ),
    _row(
        r"variable name or jexl key",
        'Pass the value in variables={"name": ...}, or define it in the SQL or in Dinky; "fragment" has to be switched '
        "on in the task.",
        "dinky#4211",
    ),
    _row(
        r"Object '[^']*' not found|Table (?:\S+ )?(?:does not exist|not found)|TableNotExistException"
        r"|relation \S+ does not exist|Table '[^']*' doesn't exist|Unknown column",
        "A table or column is not known where the SQL runs: its CREATE TABLE has to stand in the task before it "
        "is used, or its catalog has to be chosen with USE CATALOG.",
        "Flink documentation: CREATE Statements",
    ),
    _row(
        r"Access ?denied|AccessControlException|Permission denied|not authorized|authentication failed"
        r"|No operation permission|任务无操作权限",
        "The user of the SQL, or of the connection, lacks a right: check user, password and rights in the system that "
        "the reason names.",
        "Flink documentation: Security Overview",
    ),
    _row(
        r"doesn't support consuming (?:update|delete)",
        "The sink only takes inserts: use one that takes updates (with a primary key, such as upsert-kafka or jdbc), "
        "or a query that never changes a row.",
        "Flink documentation: Dynamic Tables",
    ),
    _row(
        r"Exceeded checkpoint tolerable failure threshold|Checkpoint expired before completing",
        "Checkpoints do not get done in time: look for back pressure or a slow state backend, raise "
        "execution.checkpointing.timeout, or try unaligned checkpoints.",
        "Flink documentation: Checkpointing under backpressure",
    ),
    _row(
        r"OutOfMemoryError",
        "The memory that the reason names is too small: raise it for the task manager (or job manager); for Metaspace, "
        "restart the cluster now and then or put shared JARs into lib.",
        "Flink documentation: Troubleshooting (memory)",
    ),
    _row(
        r"Insufficient number of network buffers",
        "Raise taskmanager.memory.network.fraction (or max), or lower the parallelism.",
        "Flink documentation: Troubleshooting (memory)",
    ),
    _row(
        r"Heartbeat of (?:TaskManager|JobManager|ResourceManager)|TaskManager .{0,120}(?:no longer reachable|lost)",
        "A process of the cluster died or hung: look into its own log, or that of its container. A restart strategy "
        "lets the job survive it.",
        "Flink documentation: Task Failure Recovery",
    ),
    _row(
        r"ChildFirstClassLoader\.getParent",
        "A rare race inside Dinky when jobs are submitted at the same moment: no job came up, submit again.",
        "Flink documentation: Debugging Classloading",
    ),
    _row(
        r"stop job failed",
        "The old job took too long to stop, so Dinky did not start the new one: look whether it runs, then start it "
        "from the savepoint; RestartTaskOperator waits for longer.",
        "Flink documentation: Savepoints",
    ),
    _row(
        r"not support select statements|不支持 ?select ?语句",
        "The task only has SELECT or SHOW: submit a task with an INSERT; rows are for Dinky's editor.",
        "Flink documentation: INSERT Statement",
    ),
    _row(
        r"JobID or JobManagerAddress is null",
        "No Flink job came of it: the task is empty or has only DDL, and needs an INSERT. Where there is an INSERT, "
        "Dinky could not reach the cluster it started, or gave up waiting for it: look there for the job first.",
        "dinky#4170",
    ),
    _row(
        r"executeSql\(\) only accepts a single SQL statement|EXECUTE STATEMENT SET.{0,200}Unsupported SQL",
        "Dinky makes one job of all INSERTs of a task by itself: leave out EXECUTE STATEMENT SET BEGIN and END.",
        "Flink documentation: INSERT Statement",
    ),
    _row(
        r"SQL parse failed|SqlParseException|SqlParserException|CalciteException|sql解析失败|SQL parsing failed",
        "The SQL cannot be read at the place named: correct it in Dinky; ExplainTaskOperator, or check_sql=True, finds "
        "such before a job is started.",
        "Flink documentation: SQL (syntax)",
    ),
)
"""The first row that fits counts, so what is special stands before what is general."""


def remedy_for(text: str | None) -> str | None:
    """What to do about a reason, or None if it is not a known one.

    :param text: a stack trace or a message of Flink or Dinky; the deepest cause that is known counts.
    """
    for cause in causes(text):
        for row in REMEDIES:
            if row.sign.search(cause):
                return row.advice
    return None
