# SPDX-License-Identifier: Apache-2.0
"""The errors that an exchange can end with, in words: connection, address, what was asked and what happened."""

from __future__ import annotations

from typing import Any

from airflow_provider_dinky.client import http_limits
from airflow_provider_dinky.client.calls import ApiCall
from airflow_provider_dinky.client.config import DinkyConfig
from airflow_provider_dinky.client.errors import (
    DinkyConfigError,
    DinkyConnectionError,
    DinkyError,
    DinkyResponseError,
    DinkySignInError,
)
from airflow_provider_dinky.client.foreign_text import LONGEST, clean

_CHECK_ADDRESS = "check host, port and scheme"
_TLS_DISAGREEMENT = (
    "CERTIFICATE_VERIFY_FAILED",
    "certificate verify failed",
    "doesn't match",
    "WRONG_VERSION_NUMBER",
    "wrong version number",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "UNSUPPORTED_PROTOCOL",
    "HTTP_REQUEST",
    "NO_CERTIFICATE_OR_CRL_FOUND",
    "ALERT",
)


def too_large(config: DinkyConfig, call: ApiCall[Any]) -> DinkyResponseError:
    """The error for an answer over the limit."""
    return DinkyResponseError(
        message_of(
            config,
            call,
            f"the answer is larger than {http_limits.MAX_ANSWER_BYTES >> 20} MiB and was not read",
        )
    )


def no_http(config: DinkyConfig, call: ApiCall[Any], why: str) -> DinkyResponseError:
    """The error for an answer that breaks the rules of HTTP."""
    return DinkyResponseError(
        message_of(
            config,
            call,
            f"the answer is not HTTP as it should be ({config.redact(why)}); is this a Dinky, or a proxy before it?",
        )
    )


def tls_failed(config: DinkyConfig, call: ApiCall[Any], why: str, *, sent: bool) -> DinkyError:
    """The error for TLS that does not work: final where the two sides cannot agree, else like a lost connection.

    :param why: what the TLS library says; it has no other way to tell the cases apart.
    """
    if not any(sign in why for sign in _TLS_DISAGREEMENT):
        return unreachable(config, call, f"TLS broke off: {why}", sent=sent)
    return DinkyConfigError(
        message_of(
            config, call, f"TLS: {why}; check schema (http or https), ca_bundle and verify of the connection"
        )
    )


def unusable_ca(config: DinkyConfig, call: ApiCall[Any], why: str) -> DinkyConfigError:
    """The error for a CA file that cannot be read."""
    return DinkyConfigError(
        message_of(config, call, f"CA file {config.ca_file()!r}: {why}; check ca_bundle of the connection")
    )


def unusable_address(config: DinkyConfig, call: ApiCall[Any], why: str) -> DinkyConfigError:
    """The error for a URL that no request can be sent to."""
    return DinkyConfigError(message_of(config, call, f"{why}; check host and port of the connection"))


def unreachable(
    config: DinkyConfig, call: ApiCall[Any], why: str, *, sent: bool, remedy: str = _CHECK_ADDRESS
) -> DinkyConnectionError:
    """The error for an exchange that gave no answer."""
    if sent and not call.repeatable:
        remedy = "Dinky may have carried it out"
    return DinkyConnectionError(message_of(config, call, f"{config.redact(why)}; {remedy}"), sent=sent)


def gateway_refuses(config: DinkyConfig, call: ApiCall[Any], said: str) -> DinkySignInError:
    """The error where credentials are wanted that Dinky itself does not ask for."""
    return DinkySignInError(
        message_of(
            config,
            call,
            f"a sign-in is asked for where Dinky asks for none ({said}): if a proxy before Dinky wants credentials of "
            "its own, put them into headers of the connection; if Dinky itself does, a user or a token",
        )
    )


def wrong_tenant(config: DinkyConfig, call: ApiCall[Any]) -> DinkySignInError:
    """The error for a tenant that the user is not in."""
    return DinkySignInError(
        message_of(
            config, call, f"the user is not in tenant {config.tenant_id}: check tenant_id of the connection"
        )
    )


def message_of(config: DinkyConfig, call: ApiCall[Any], what: str) -> str:
    """An error's message: connection, address, what was asked, what happened."""
    return clean(
        f"connection '{config.name}' ({call.base_url or config.base_url}): {call.what}: {what}", LONGEST
    )
