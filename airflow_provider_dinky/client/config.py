# SPDX-License-Identifier: Apache-2.0
"""How to reach one Dinky."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_dinky.client.errors import DinkyConfigError
from airflow_provider_dinky.client.masking import mask_secrets


@dataclass(frozen=True)
class DinkyConfig:
    """Address, credentials and habits of one Dinky connection; secrets are not part of its ``repr``.

    :param base_url: scheme, host, port and, behind a proxy, a path; no trailing slash.
    :param name: what errors call it: the Airflow connection id.
    :param username: Dinky user; None for anonymous use or with a token.
    :param password: password of that user.
    :param token: a token issued in Dinky's UI, instead of user and password.
    :param tenant_id: Dinky's id of the tenant to work in.
    :param verify: whether the server's TLS certificate is checked.
    :param ca_bundle: path of a file of CA certificates to check it against.
    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for an answer.
    :param submit_timeout: seconds to wait for the answer of a submit, which on YARN or Kubernetes takes minutes.
    :param savepoint_timeout: seconds to wait for the answer of a savepoint, or of a restart (which takes one).
    :param allow_flink_rest: whether Flink's own REST API may be asked where Dinky does not tell.
    :param headers: sent with each request to Dinky, for a gateway before it; the values are secret.
    :param trust_env: whether proxy and CA settings of the environment count. A netrc file never does.
    """

    base_url: str
    name: str = "dinky"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tenant_id: int = 1
    verify: bool = True
    ca_bundle: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    submit_timeout: float = 300.0
    savepoint_timeout: float = 600.0
    allow_flink_rest: bool = False
    trust_env: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def has_credentials(self) -> bool:
        """Whether calls under ``/api`` are possible."""
        return bool(self.token or (self.username and self.password))

    def redact(self, text: str) -> str:
        """The text without this connection's secrets and without those that SQL carries."""
        # Also without the word before it, as in "Bearer ...".
        given = [part for v in self.headers.values() for part in (v, *re.split(r"[\s;,=]+", v)[1:])]
        return mask_secrets(text, self.password, self.token, *sorted(given, key=len, reverse=True))

    def ca_file(self) -> str | None:
        """The CA file to check the server against; None for the HTTP library's own."""
        from_env = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return self.ca_bundle or (from_env if self.trust_env else None) or None

    def proxy_for(self, url: str) -> str | None:
        """The proxy that the environment names for a URL, or None: by the rules of ``requests`` for both clients.

        :raises DinkyConfigError: it is of a kind that not both HTTP libraries can use.
        """
        if not self.trust_env:
            return None
        from requests.utils import get_environ_proxies, select_proxy

        proxy: str | None = select_proxy(url, get_environ_proxies(url, no_proxy=None))
        if not proxy:
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        if urlsplit(proxy).scheme.lower() not in ("http", "https"):
            shown = self.redact(proxy)
            raise DinkyConfigError(
                f"connection '{self.name}': the environment names proxy {shown} for {self.redact(url)}, but only http "
                "and https proxies can be used: name Dinky's host in NO_PROXY, or switch trust_env off"
            )
        return proxy
