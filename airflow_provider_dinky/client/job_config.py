# SPDX-License-Identifier: Apache-2.0
"""The settings a job was submitted with, as the answer of a submit or restart lists them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_provider_dinky.client.model import Lenient, Text


class ConfigEntry(Lenient):
    """One custom setting."""

    name: Text = None
    value: Text = Field(default=None, repr=False)


class AppConfig(Lenient):
    """The user's JAR of an application-mode job."""

    user_jar_paras: tuple[str, ...] | None = Field(default=None, repr=False)
    user_jar_main_app_class: str | None = None
    user_jar_path: str | None = None


class KubernetesConfig(Lenient):
    """Kubernetes settings of a gateway."""

    docker_config: dict[str, Any] | None = Field(default=None, repr=False)
    configuration: dict[str, Any] | None = Field(default=None, repr=False)
    kube_config: str | None = Field(default=None, repr=False)
    pod_template: str | None = Field(default=None, repr=False)
    jm_pod_template: str | None = Field(default=None, repr=False)
    tm_pod_template: str | None = Field(default=None, repr=False)


class ClusterConfig(Lenient):
    """Where a gateway finds Flink and Hadoop."""

    hadoop_config_path: str | None = None
    flink_config_path: str | None = None
    flink_lib_path: str | None = None
    app_id: str | None = None
    hadoop_config_map: dict[str, Any] | None = Field(default=None, repr=False)
    hadoop_config_list: tuple[ConfigEntry, ...] | None = None


class FlinkConfig(Lenient):
    """Flink settings of a gateway."""

    job_name: str | None = None
    job_id: str | None = None
    flink_config_list: tuple[ConfigEntry, ...] | None = None
    configuration: dict[str, Any] | None = Field(default=None, repr=False)
    save_point: str | None = None
    save_point_type: str | None = None
    action: str | None = None
    flink_version: str | None = None


class GatewayConfig(Lenient):
    """How Dinky reaches a YARN or Kubernetes cluster."""

    type: str | None = None
    dinky_task_id: int | None = Field(default=None, alias="taskId")
    app_config: AppConfig | None = None
    kubernetes_config: KubernetesConfig | None = None
    cluster_config: ClusterConfig | None = None
    flink_config: FlinkConfig | None = None
    jar_paths: tuple[str, ...] | None = None


class JobConfig(Lenient):
    """The settings a job was submitted with."""

    type: str | None = None
    checkpoint: int | None = None
    save_point_strategy: str | None = None
    save_point_path: str | None = None
    parallelism: int | None = None
    cluster_id: int | None = None
    cluster_configuration_id: int | None = None
    step: int | None = None
    config_json: dict[str, Any] | None = Field(default=None, repr=False)
    use_result: bool | None = None
    use_change_log: bool | None = None
    use_auto_cancel: bool | None = None
    use_remote: bool | None = None
    address: str | None = None
    dinky_task_id: int | None = Field(default=None, alias="taskId")
    jar_files: tuple[str, ...] | None = None
    py_files: tuple[str, ...] | None = None
    job_name: str | None = None
    fragment: bool | None = None
    statement_set: bool | None = None
    batch_model: bool | None = None
    max_row_num: int | None = None
    gateway_config: GatewayConfig | None = None
    variables: dict[str, Any] | None = Field(default=None, repr=False)
