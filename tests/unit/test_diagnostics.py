# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest

import airflow_provider_dinky
from airflow_provider_dinky.client.errors import DinkyResponseError, DinkySignInError
from airflow_provider_dinky.diagnostics import versions
from airflow_provider_dinky.exceptions import DinkyTaskError, as_airflow_errors


def test_the_command_prints_the_versions() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_dinky.diagnostics"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"airflow-provider-dinky {airflow_provider_dinky.__version__}, apache-airflow " in done.stdout
    assert "missing" not in done.stdout


def test_an_answer_nobody_knows_is_raised_with_them() -> None:
    with pytest.raises(DinkyTaskError) as caught, as_airflow_errors():
        raise DinkyResponseError("the answer is not JSON")
    first, second = str(caught.value).splitlines()
    assert (first, versions() in second) == ("the answer is not JSON", True)


def test_what_the_user_can_mend_is_raised_without() -> None:
    with pytest.raises(DinkyTaskError) as caught, as_airflow_errors():
        raise DinkySignInError("check login and password")
    assert str(caught.value) == "check login and password"
