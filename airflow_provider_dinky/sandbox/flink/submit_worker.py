# SPDX-License-Identifier: Apache-2.0
"""Submits SQL to a Flink cluster. Run as a script by :mod:`.submitter`, with the Python of Flink's environment.

Reads orders from its standard input, one JSON object a line, and answers each with one that has its ``id``: ``job``
(None if the SQL starts none) or ``error``, the chain of Java's exception, with the ``statement`` that it came from.
What translates the SQL is Java, and is started only once. When the input is closed, both end and the folder for
temporary files is removed.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import threading
from typing import Any


class Java:
    """A Java process whose objects can be used from here, by py4j."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, token = self._process.stdout.readline(), self._process.stdout.readline()
        java_gateway = importlib.import_module("py4j.java_gateway")
        self.error: type[Exception] = importlib.import_module("py4j.protocol").Py4JJavaError
        parameters = java_gateway.GatewayParameters(
            port=int(port), auth_token=token.strip(), auto_convert=True
        )
        self.flink = java_gateway.JavaGateway(gateway_parameters=parameters).jvm.org.apache.flink

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Script:
    """A task's statements on their way to the cluster."""

    def __init__(self, java: Java, configuration: dict[str, str], is_batch: bool) -> None:
        flink = java.flink
        options = flink.configuration.Configuration()
        for key, value in configuration.items():
            options.setString(key, value)
        settings = flink.table.api.EnvironmentSettings.newInstance()
        settings = settings.inBatchMode() if is_batch else settings.inStreamingMode()
        self.statement = ""
        self._table = flink.table.api.TableEnvironment.create(settings.withConfiguration(options).build())
        self._option = flink.configuration.ConfigOptions.key

    def run(self, statements: list[dict[str, str]]) -> str | None:
        """Run the statements and return the id of the job that they start, if they do."""
        job, inserts = None, None
        for statement in statements:
            self.statement = statement["text"]
            if statement["kind"] == "set":
                self._table.getConfig().set(statement["key"], statement["value"])
            elif statement["kind"] == "reset":
                option = self._option(statement["key"]).stringType().noDefaultValue()
                self._table.getConfig().getConfiguration().removeConfig(option)
            elif statement["kind"] == "insert":
                inserts = inserts or self._table.createStatementSet()
                inserts.addInsertSql(statement["text"])
            else:
                job = _job(self._table.executeSql(statement["text"])) or job
        return _job(inserts.execute()) if inserts else job

    def explain(self, statement: str) -> None:
        """Translate a statement and forget it."""
        self._table.explainSql(statement, [])


def _job(result: Any) -> str | None:
    client = result.getJobClient()
    return str(client.get().getJobID().toString()) if client.isPresent() else None


def _chain(exception: Any) -> list[tuple[str, str]]:
    links = []
    while exception is not None:
        links.append((exception.getClass().getName(), exception.getMessage() or ""))
        exception = exception.getCause()
    return links


def _answer(java: Java, order: dict[str, Any]) -> dict[str, Any]:
    script = None
    try:
        script = Script(java, order["configuration"], order["is_batch"])
        return {"id": order["id"], "job": script.run(order["statements"])}
    except java.error as error:
        chain = _chain(error.java_exception)  # type: ignore[attr-defined]
    except Exception as error:  # Nobody else would answer.
        chain = [("java.lang.IllegalStateException", f"the submitting process: {error!r}")]
    return {"id": order["id"], "error": chain, "statement": script.statement if script else ""}


def main() -> None:
    """Serve until the standard input is closed. The arguments: the folder, and the command that starts Java."""
    folder, *command = sys.argv[1:]
    try:
        _serve(Java(command))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(java: Java) -> None:
    one_at_a_time = threading.Lock()

    def serve(order: dict[str, Any]) -> None:
        answer = json.dumps(_answer(java, order))
        with one_at_a_time:
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()

    # The first translation takes seconds: better while the cluster comes up than in the first submit.
    threading.Thread(target=lambda: Script(java, {}, False).explain("SELECT 1"), daemon=True).start()
    try:
        for line in sys.stdin:
            threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()
    finally:
        java.end()


if __name__ == "__main__":
    main()
