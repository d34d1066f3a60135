# SPDX-License-Identifier: Apache-2.0
"""Secrets that SQL, URLs and settings carry do not survive; everything else does."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_dinky.client.masking import MASK, mask_secrets

NAMES = [
    "password",
    "PASSWORD",
    "connection.password",
    "jdbc_passwd",
    "pwd",
    "properties.sasl.jaas.config",
    "s3.secret-key",
    "s3.access-key",
    "fs.oss.accessKeySecret",
    "aws.credentials.provider.basic.secretkey",
    "api-key",
    "apiKey",
    "token",
    "auth.token.value",
    "private-key",
    "fs.azure.account.key.store.blob.core.windows.net",
    "client_secret",
    "passphrase",
]
# What stands bare in a file of settings or a URL; other characters need quotes or escapes there.
BARE = string.ascii_letters + string.digits + "!#$%*+-.^_~"
# Marks the secret, so that no part of it can stand in the text around it by chance.
SIGN = "Zq"


def secrets(alphabet: str | None = None) -> st.SearchStrategy[str]:
    inner = (
        st.text(alphabet, max_size=12)
        if alphabet
        else st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    )
    return inner.map(lambda text: f"{SIGN}{text}{SIGN}")


def survives(text: str) -> bool:
    return SIGN in mask_secrets(text)


names = st.sampled_from(NAMES)
spaces = st.sampled_from(["", " ", "  ", "\n\t"])


@given(names, secrets(), spaces, spaces)
def test_with_clause(name: str, secret: str, before: str, after: str) -> None:
    quoted = secret.replace("'", "''")
    sql = (
        f"CREATE TABLE t (a INT) WITH ('connector'='jdbc', '{name}'{before}={after}'{quoted}', 'table'='t');"
    )
    assert not survives(sql)
    assert mask_secrets(sql).endswith(f"'{MASK}', 'table'='t');")


@given(names, secrets())
def test_set_statement(name: str, secret: str) -> None:
    assert not survives(f"SET '{name}' = '{secret.replace(chr(39), chr(39) * 2)}';\nSELECT 1")


@given(names, secrets())
def test_json(name: str, secret: str) -> None:
    text = json.dumps({"a": 1, name: secret, "b": {name: secret}})
    assert not survives(text)
    assert '"a": 1' in mask_secrets(text)


@given(names, secrets())
def test_json_inside_json(name: str, secret: str) -> None:
    assert not survives(json.dumps({"configJson": json.dumps({"a": 1, name: secret})}))


@given(names, secrets())
def test_sql_inside_json(name: str, secret: str) -> None:
    sql = f"WITH ('{name}' = '{secret.replace(chr(39), chr(39) * 2)}')"
    assert not survives(json.dumps({"statement": sql}, ensure_ascii=False))


@given(
    names,
    secrets(BARE),
    st.sampled_from(["{} = {}", "{}={}", "{}: {}", "-D{}={}", "{} => {}", "{} == {}", "{{a=1, {}={}, b=2}}"]),
)
def test_settings(name: str, secret: str, line: str) -> None:
    assert not survives(f"x\n{line.format(name, secret)}\ny")


@given(secrets(BARE))
def test_query_of_a_url(secret: str) -> None:
    url = f"jdbc:mysql://db:3306/shop?user=ann&password={secret}&useSSL=true"
    assert mask_secrets(f"'url' = '{url}'") == f"'url' = '{url.replace(secret, MASK)}'"


@given(secrets(BARE + "@:"), st.sampled_from(["jdbc:postgresql", "mongodb+srv", "http", "redis"]))
def test_user_of_a_url(secret: str, scheme: str) -> None:
    assert mask_secrets(f"'url'='{scheme}://ann:{secret}@db:1/x'") == f"'url'='{scheme}://ann:{MASK}@db:1/x'"


@given(secrets(BARE))
def test_jaas_in_a_trace(secret: str) -> None:
    text = f'ConfigException: PlainLoginModule required username="ann" password="{secret}"; at line 1'
    assert not survives(text)
    assert mask_secrets(text).endswith(f"password={MASK}; at line 1")


STATEMENTS = [
    "CREATE USER ann IDENTIFIED BY {}",
    "create user ann@'%' identified  by\npassword {} require ssl",
    "ALTER USER ann IDENTIFIED WITH caching_sha2_password BY {}",
    "CREATE USER ann IDENTIFIED VIA mysql_native_password USING {}",
    "ALTER ROLE ann WITH ENCRYPTED PASSWORD {} VALID UNTIL '2030-01-01'",
    "SET PASSWORD FOR 'ann'@'%' = {}",
    "SET PASSWORD FOR ann = PASSWORD({})",
    "SELECT\tPASSWORD ( {} )",
]


@given(st.sampled_from(STATEMENTS), secrets())
def test_statement_about_a_user(statement: str, secret: str) -> None:
    quoted = "'" + secret.replace("'", "''") + "'"
    assert not survives(f"{statement.format(quoted)}; SELECT 1")


@given(st.sampled_from(STATEMENTS), secrets())
def test_statement_about_a_user_with_backslashes(statement: str, secret: str) -> None:
    quoted = "'" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert not survives(statement.format(quoted))


@given(st.sampled_from(STATEMENTS), secrets())
def test_statement_about_a_user_in_double_quotes_within_json(statement: str, secret: str) -> None:
    assert not survives(json.dumps({"sql": statement.format(f'"{secret.replace(chr(34), "")}"')}))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "CREATE USER ann IDENTIFIED BY 'x1' ACCOUNT LOCK;",
            f"CREATE USER ann IDENTIFIED BY '{MASK}' ACCOUNT LOCK;",
        ),
        (
            "CREATE ROLE a PASSWORD 'x1' LOGIN; SELECT 'b'",
            f"CREATE ROLE a PASSWORD '{MASK}' LOGIN; SELECT 'b'",
        ),
        ("PASSWORD 'ends with a backslash\\'", f"PASSWORD '{MASK}'"),
    ],
)
def test_the_rest_of_a_statement_stays(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@given(
    secrets(string.ascii_letters + string.digits + "-._~+/="),
    st.sampled_from(["Bearer", "bearer", "Basic", "BASIC"]),
    st.sampled_from(
        [
            "Authorization: {} {}",
            "curl -H 'Authorization: {} {}' http://a",
            "{{Authorization=[{} {}], Accept=[*/*]}}",
            'Proxy-Authorization:"{} {}"',
            "'http.header.Authorization' = '{} {}'",
            "token={} {}",
        ]
    ),
)
def test_header(secret: str, scheme: str, line: str) -> None:
    assert not survives(f"x\n{line.format(scheme, secret)}\ny")
    assert not survives(json.dumps({"a": line.format(scheme, secret)}))


@given(secrets(string.ascii_letters), st.sampled_from(["Bearer", "Basic"]))
def test_header_in_json(secret: str, scheme: str) -> None:
    text = json.dumps({"Authorization": f"{scheme} {secret}", "b": 1})
    assert mask_secrets(text) == f'{{"Authorization": {MASK}, "b": 1}}'


@given(st.text(), secrets(), st.text())
def test_known_secrets_wherever_they_stand(before: str, secret: str, after: str) -> None:
    assume(SIGN not in before + after)
    assert SIGN not in mask_secrets(f"{before}{secret}{after}", None, "", secret)


def test_too_short_a_known_secret_is_not_looked_for() -> None:
    assert mask_secrets("abc of abcdef", "abc") == "abc of abcdef"


@given(st.text(string.ascii_letters + string.digits + " .,;:=()[]{}'\"`\\/@&?\n-_ü", max_size=60))
def test_text_without_secrets_is_unchanged(text: str) -> None:
    lowered = text.lower()
    assume("://" not in text)
    assume(
        not any(
            word in lowered
            for word in ("passw", "pwd", "secret", "token", "credential", "key", "jaas", "passp")
        )
    )
    assert mask_secrets(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE src (id BIGINT, key_column STRING) WITH ('connector'='datagen','rows-per-second'='1')",
        "SELECT * FROM passwords WHERE user_id = 7",
        "org.apache.calcite.runtime.CalciteException: Non-query expression encountered in illegal context",
        "Connection refused: db.example.com/10.0.0.7:5432",
        "http://dinky:8888/#/devops/job-detail?id=7 and hdfs://nameservice1/savepoints/sp-1",
        "file:/flink/savepoints/savepoint-eae658-25db80da428f",
        "token has been pushed offline",
        "PRIMARY KEY (id) NOT ENFORCED",
        "unexpected token 'FROM' at line 1",
        "Basic authentication failed; Authorization of the user ann was refused",
        "SELECT password, 'x' FROM users WHERE name = 'password'",
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "'a",
        '\\"a',
        "x://a:",
        "a://b",
        "password",
        "password=",
        "'password' = '",
        '\\"token\\":\\"',
        "\\",
        "://:",
        "identified by '",
        "identified with a ",
        "password '",
        "password   ",
        "password \\",
        "password 'a\\''",
        "password '\\",
        "set password for a",
        "Authorization: Bearer ",
        "Authorization=[",
    ],
)
def test_long_texts_take_no_long_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.monotonic()
    mask_secrets(text)
    assert time.monotonic() - started < 60
