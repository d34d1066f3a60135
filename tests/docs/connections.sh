# SPDX-License-Identifier: Apache-2.0
# Connections that the documentation shows; tests/docs/test_connections.py reads them.
# shellcheck shell=sh

# --8<-- [start:json]
export AIRFLOW_CONN_DINKY_DEFAULT='{
  "conn_type": "dinky",
  "host": "dinky.example.com",
  "port": 8888,
  "schema": "https",
  "login": "airflow",
  "password": "secret",
  "extra": {"tenant_id": 1, "submit_timeout": 600}
}'
# --8<-- [end:json]

# --8<-- [start:uri]
export AIRFLOW_CONN_DINKY_URI='dinky://airflow:secret@dinky.example.com:8888/https?tenant_id=1&submit_timeout=600'
# --8<-- [end:uri]

# --8<-- [start:token]
export AIRFLOW_CONN_DINKY_TOKEN='{"conn_type": "dinky", "host": "dinky.example.com", "password": "the-token"}'
# --8<-- [end:token]

# --8<-- [start:headers]
export AIRFLOW_CONN_DINKY_GATEWAY='{"conn_type": "dinky", "host": "gateway.example.com", "port": 443, "schema": "https",
  "extra": {"headers": {"Authorization": "Bearer the-gateway-key"}}}'
# --8<-- [end:headers]

# --8<-- [start:anonymous]
export AIRFLOW_CONN_DINKY_ANONYMOUS='dinky://dinky.example.com:8888'
# --8<-- [end:anonymous]

# --8<-- [start:tls]
export AIRFLOW_CONN_DINKY_TLS='{
  "conn_type": "dinky",
  "host": "proxy.example.com/dinky",
  "port": 443,
  "schema": "https",
  "login": "airflow",
  "password": "secret",
  "extra": {"ca_bundle": "/etc/ssl/certs/our-ca.pem"}
}'
# --8<-- [end:tls]
