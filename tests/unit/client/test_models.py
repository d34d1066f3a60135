# SPDX-License-Identifier: Apache-2.0
"""What Dinky answers, typed: nothing is lost, nothing secret is shown, little can break it."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from airflow_provider_dinky.client.job_config import JobConfig
from airflow_provider_dinky.client.models import (
    DinkyTask,
    ExplainedStatement,
    HistoryEntry,
    JobInfoDetail,
    JobInstance,
    Savepoint,
    SavepointResult,
    SubmitResult,
    failure_trace,
)
from airflow_provider_dinky.client.status import JobStatus

DOCUMENTED: dict[str, Any] = {
    "id": 11,
    "jobInstanceId": 12,
    "jobId": "a8678a892f28f9a400527f8da8a59b84",
    "jobManagerAddress": "jm:8081",
    "success": True,
    "status": "SUCCESS",
    "statement": "SELECT 1",
    "error": "none",
    "startTime": "2026-11-22T02:18:51",
    "endTime": "2026-11-22T02:18:52",
    "result": {"columns": ["a"], "rowData": [{"a": 1}]},
    "results": [
        {
            "total": 1,
            "columns": ["columns_50yua"],
            "success": True,
            "limit": 10,
            "rowData": [{"loadFactor": 1.0, "threshold": 1, "accessOrder": True}],
            "startTime": "s",
            "page": 1,
            "endTime": "e",
            "time": 5,
            "error": "no",
        }
    ],
    "jobConfig": {
        "checkpoint": 5000,
        "jobName": "orders",
        "configJson": {"a": "b"},
        "useAutoCancel": True,
        "variables": {"day": "2026-11-22"},
        "address": "jm:8081",
        "parallelism": 2,
        "clusterConfigurationId": 3,
        "batchModel": False,
        "clusterId": 4,
        "type": "kubernetes-application",
        "statementSet": True,
        "pyFiles": ["a.py"],
        "useResult": True,
        "jarFiles": ["a.jar"],
        "maxRowNum": 100,
        "fragment": True,
        "savePointPath": "s3://sp/1",
        "useChangeLog": True,
        "step": 2,
        "savePointStrategy": "CUSTOM",
        "useRemote": True,
        "taskId": 6,
        "gatewayConfig": {
            "type": "kubernetes-application",
            "taskId": 6,
            "jarPaths": ["local:///a.jar"],
            "appConfig": {
                "userJarParas": ["--day", "1"],
                "userJarMainAppClass": "org.example.Main",
                "userJarPath": "local:///main.jar",
            },
            "kubernetesConfig": {
                "dockerConfig": {"instance": "x"},
                "tmPodTemplate": "tm",
                "configuration": {"kubernetes.namespace": "flink"},
                "jmPodTemplate": "jm",
                "podTemplate": "pod",
                "kubeConfig": "kube",
            },
            "clusterConfig": {
                "hadoopConfigPath": "/etc/hadoop",
                "flinkConfigPath": "/etc/flink",
                "flinkLibPath": "/opt/flink/lib",
                "appId": "application_1",
                "hadoopConfigMap": {"a": "b"},
                "hadoopConfigList": [{"name": "n", "value": "v"}],
            },
            "flinkConfig": {
                "jobName": "orders",
                "jobId": "b1",
                "flinkConfigList": [{"name": "n", "value": "v"}],
                "configuration": {"a": "b"},
                "savePoint": "s3://sp/1",
                "action": "START",
                "flinkVersion": "1.18",
                "savePointType": "TRIGGER",
            },
        },
    },
}
"""``data`` of a submit and of a restart: every field of Dinky's documents of the two."""

RENAMED = {"taskId": "dinky_task_id"}


def attribute(name: str) -> str:
    return RENAMED.get(name) or re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def differences(documented: Any, read: Any, where: str = "") -> Iterator[str]:
    if isinstance(read, BaseModel):
        assert isinstance(documented, dict)
        for name, value in documented.items():
            if attribute(name) not in type(read).model_fields:
                yield f"{where}.{name} is no field"
            else:
                yield from differences(value, getattr(read, attribute(name)), f"{where}.{name}")
    elif isinstance(read, tuple):
        assert len(read) == len(documented)
        for number, (value, item) in enumerate(zip(documented, read, strict=True)):
            yield from differences(value, item, f"{where}[{number}]")
    elif documented != read or type(documented) is not type(read):
        yield f"{where} is {read!r}"


def test_every_documented_field_of_a_submit_and_a_restart_can_be_read() -> None:
    assert list(differences(DOCUMENTED, SubmitResult.model_validate(DOCUMENTED))) == []


def test_short_words_of_a_submit() -> None:
    result = SubmitResult.model_validate(DOCUMENTED)
    assert result.savepoint_path == "s3://sp/1"
    assert not result.is_plain_sql
    assert SubmitResult.model_validate({"success": True}).is_plain_sql
    assert SubmitResult.model_validate({"success": True}).savepoint_path is None
    assert (
        SubmitResult.model_validate({"success": True, "jobConfig": {"savePointPath": ""}}).savepoint_path
        is None
    )


def test_what_a_newer_dinky_adds_is_kept() -> None:
    result = SubmitResult.model_validate({"success": True, "quality": 7, "jobConfig": {"mood": ["good"]}})
    assert result.model_extra == {"quality": 7}
    assert isinstance(result.job_config, JobConfig)
    assert result.job_config.model_extra == {"mood": ["good"]}


WRONG: list[Any] = ["text", 5, 1.5, True, None, [1], {"a": 1}, [None], [{"a": [1]}]]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_kind_in_what_decides_nothing_fails_no_submit(wrong: Any) -> None:
    informative = [name for name in DOCUMENTED if name not in ("id", "jobInstanceId", "success")]
    for name in informative:
        result = SubmitResult.model_validate({**DOCUMENTED, name: wrong})
        assert result.job_instance_id == 12
        # The short words hold for whatever came.
        assert isinstance(result.is_plain_sql, bool)
        _ = result.savepoint_path, repr(result)
    config = DOCUMENTED["jobConfig"]
    for name in config:
        result = SubmitResult.model_validate({**DOCUMENTED, "jobConfig": {**config, name: wrong}})
        assert isinstance(result.job_config, JobConfig)
        assert result.job_config.job_name == ("orders" if name != "jobName" else wrong)
    for name in config["gatewayConfig"]:
        changed = {**config, "gatewayConfig": {**config["gatewayConfig"], name: wrong}}
        SubmitResult.model_validate({**DOCUMENTED, "jobConfig": changed})


@pytest.mark.parametrize("field", ["id", "jobInstanceId", "success"])
@pytest.mark.parametrize("wrong", ["text", [1], {"a": 1}], ids=repr)
def test_a_wrong_kind_in_what_decides_is_not_let_pass(field: str, wrong: Any) -> None:
    with pytest.raises(ValidationError):
        SubmitResult.model_validate({**DOCUMENTED, field: wrong})


def test_numbers_as_text_are_numbers() -> None:
    result = SubmitResult.model_validate(
        {"success": "true", "jobInstanceId": "12", "jobConfig": {"step": "2"}}
    )
    assert result.job_instance_id == 12
    assert result.success is True
    assert isinstance(result.job_config, JobConfig)
    assert result.job_config.step == 2


SECRET = "hunter2"


@pytest.mark.parametrize(
    "model",
    [
        SubmitResult.model_validate(
            {
                "success": True,
                "statement": SECRET,
                "error": SECRET,
                "result": {"rowData": [{"a": SECRET}], "error": SECRET},
                "results": [{"rowData": [{"a": SECRET}]}],
                "somethingNew": SECRET,
                "jobConfig": {
                    "configJson": {"a": SECRET},
                    "variables": {"a": SECRET},
                    "executorSetting": {"config": SECRET},
                    "gatewayConfig": {
                        "appConfig": {"userJarParas": ["--password", SECRET]},
                        "kubernetesConfig": {
                            "dockerConfig": {"docker.password": SECRET},
                            "configuration": {"a": SECRET},
                            "kubeConfig": SECRET,
                            "podTemplate": SECRET,
                            "jmPodTemplate": SECRET,
                            "tmPodTemplate": SECRET,
                        },
                        "clusterConfig": {
                            "hadoopConfigMap": {"a": SECRET},
                            "hadoopConfigList": [{"name": "n", "value": SECRET}],
                        },
                        "flinkConfig": {
                            "configuration": {"a": SECRET},
                            "flinkConfigList": [{"name": "n", "value": SECRET}],
                        },
                    },
                },
            }
        ),
        JobInstance.model_validate({"id": 1, "error": SECRET, "new": SECRET}),
        HistoryEntry.model_validate(
            {
                "id": 1,
                "statement": SECRET,
                "error": SECRET,
                "configJson": {"variables": {"a": SECRET}},
                "x": SECRET,
            }
        ),
        JobInfoDetail.model_validate(
            {
                "instance": {"id": 1},
                "history": {"id": 1, "statement": SECRET},
                "jobDataDto": {
                    "exceptions": {"root-exception": SECRET},
                    "config": {"a": SECRET},
                    "errorMsg": SECRET,
                },
                "clusterConfiguration": {"configJson": SECRET},
            }
        ),
        DinkyTask.model_validate({"id": 1, "statement": SECRET, "configJson": {"a": SECRET}}),
        ExplainedStatement.model_validate({"sql": SECRET, "explain": SECRET, "error": SECRET}),
        SavepointResult.model_validate({"exceptionMsg": SECRET, "error": SECRET}),
    ],
    ids=lambda model: type(model).__name__,
)
def test_no_repr_shows_sql_or_rows_or_settings(model: BaseModel) -> None:
    assert SECRET not in repr(model)
    assert SECRET not in str(model)
    assert SECRET in repr(model.model_dump())


def test_models_are_frozen() -> None:
    instance = JobInstance.model_validate({"id": 1})
    with pytest.raises(ValidationError):
        instance.status = JobStatus.FAILED  # type: ignore[misc]


@pytest.mark.parametrize(
    ("said", "status"),
    [("RUNNING", JobStatus.RUNNING), (" running ", JobStatus.RUNNING), (None, JobStatus.UNKNOWN)],
)
def test_listed_status(said: Any, status: JobStatus) -> None:
    read = JobInstance.model_validate({"id": 1, "status": said}).status
    assert read is status
    assert read.is_listed


def test_unlisted_status_is_active_and_keeps_its_name() -> None:
    status = JobInstance.model_validate({"id": 1, "status": "Hibernating"}).status
    assert isinstance(status, JobStatus)
    assert (str(status), status.value, status.is_listed) == ("HIBERNATING", "HIBERNATING", False)
    assert status.is_active
    assert not status.is_final
    assert status == JobStatus("HIBERNATING") == "HIBERNATING"
    assert len({status, JobStatus("hibernating")}) == 1
    assert pickle.loads(pickle.dumps(status)) == copy.deepcopy(status) == status
    assert JobStatus("HIBERNATING") not in list(JobStatus)


@pytest.mark.parametrize("nonsense", [5, "", "  ", [], {}])
def test_what_is_no_status_is_not_taken_for_one(nonsense: Any) -> None:
    with pytest.raises(ValidationError):
        JobInstance.model_validate({"id": 1, "status": nonsense})


@pytest.mark.parametrize(
    ("said", "finish_time"),
    [
        ("1970-01-01 00:00:00", None),
        ("1969-12-31 23:59:59", None),
        (None, None),
        ("2026-11-22 02:19:02", "2026-11-22 02:19:02"),
    ],
)
def test_finish_time_of_a_job_that_runs_is_none(said: Any, finish_time: str | None) -> None:
    assert JobInstance.model_validate({"id": 1, "finishTime": said}).finish_time == finish_time


def test_path_of_a_savepoint() -> None:
    result = SavepointResult.model_validate(
        {"success": False, "jobInfos": [{"jobId": "a1"}, {"jobId": "a2", "savePoint": "s3://sp/2"}]}
    )
    assert (result.path, result.job_id) == ("s3://sp/2", "a1")


@pytest.mark.parametrize(
    "answer", [{}, {"jobInfos": None}, {"jobInfos": []}, {"jobInfos": [{"savePoint": ""}]}]
)
def test_no_path_of_a_savepoint(answer: Any) -> None:
    result = SavepointResult.model_validate({**answer, "exceptionMsg": "why"})
    assert result.path is None
    assert result.exception_msg == "why"


@pytest.mark.parametrize("missing", ["id", "path"])
def test_a_savepoint_without_id_or_path_is_none(missing: str) -> None:
    with pytest.raises(ValidationError):
        Savepoint.model_validate({k: v for k, v in {"id": 1, "path": "s3://x"}.items() if k != missing})


@pytest.mark.parametrize("variables", [None, [], ["a"], "a=b", 5, {"a": "b"}], ids=repr)
@pytest.mark.parametrize("config", [None, "text", 5])
def test_a_submit_without_our_mark(config: Any, variables: Any) -> None:
    for entry in (
        HistoryEntry.model_validate({"id": 1, "configJson": {"variables": variables}}),
        HistoryEntry.model_validate({"id": 1, "configJson": config}),
    ):
        assert entry.run_key is None
        assert isinstance(entry.variables, dict)


def test_a_submit_with_our_mark() -> None:
    entry = HistoryEntry.model_validate(
        {"id": 1, "configJson": {"variables": {"airflow_run_key": "d/r/t", "day": "1"}}}
    )
    assert entry.run_key == "d/r/t"
    assert entry.variables == {"day": "1"}


@pytest.mark.parametrize(
    ("exceptions", "trace"),
    [
        ({"root-exception": "E: x"}, "E: x"),
        ({"root-exception": None, "exceptionHistory": {"entries": [{"stacktrace": "E: y"}]}}, "E: y"),
        ({"exceptionHistory": {"entries": [{"exceptionName": "E"}, {"stacktrace": "E: z"}]}}, "E: z"),
        ({"root-exception": " ", "exceptionHistory": {"entries": []}}, None),
        ({"exceptionHistory": None}, None),
        ({"exceptionHistory": {"entries": [None, "x", {"stacktrace": 5}]}}, None),
        ({"exceptionHistory": ["x"]}, None),
        ({}, None),
    ],
)
def test_failure_trace_of_any_flink(exceptions: dict[str, Any], trace: str | None) -> None:
    assert failure_trace(exceptions) == trace


@pytest.mark.parametrize(
    ("detail", "trace"),
    [
        ({"jobDataDto": {"exceptions": {"root-exception": "E: x"}, "errorMsg": "other"}}, "E: x"),
        ({"jobDataDto": {"exceptions": {}, "errorMsg": "ConnectException"}}, "ConnectException"),
        ({"jobDataDto": {"exceptions": "unreadable", "errorMsg": "why"}}, "why"),
        ({"jobDataDto": {}, "instance": {"id": 1, "error": "noted"}}, "noted"),
        ({"jobDataDto": None, "instance": {"id": 1, "error": "noted"}}, "noted"),
        ({}, None),
    ],
)
def test_failure_trace_of_a_job_instance(detail: dict[str, Any], trace: str | None) -> None:
    assert JobInfoDetail.model_validate({"instance": {"id": 1}, **detail}).failure_trace == trace


def test_reason_of_a_statement_hides_secrets() -> None:
    explained = ExplainedStatement.model_validate(
        {"error": "E: x\nCaused by: F: 'password' = 'hunter2' is wrong"}
    )
    assert explained.reason == "F: 'password' = '***' is wrong"
    assert ExplainedStatement.model_validate({"error": None}).reason is None


@pytest.mark.parametrize(
    ("cluster", "submitted", "address"),
    [
        ({"jobManagerHost": "new:8081"}, "old:8081", "new:8081"),
        ({"jobManagerHost": None}, "old:8081", "old:8081"),
        ("unreadable", "old:8081", "old:8081"),
        (None, None, None),
    ],
)
def test_where_dinky_looks_for_a_job(cluster: Any, submitted: str | None, address: str | None) -> None:
    detail = JobInfoDetail.model_validate(
        {
            "instance": {"id": 1},
            "clusterInstance": cluster,
            "history": {"id": 1, "jobManagerAddress": submitted},
        }
    )
    assert detail.job_manager_address == address
