# SPDX-License-Identifier: Apache-2.0
"""Addresses in their normal form, so that one server has one spelling. Pure: nothing is looked up."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOKS_LIKE_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d*))*", re.IGNORECASE)


class AddressError(ValueError):
    """A host that is none, or could be two; the message completes the sentence "the host ..."."""


def bracketed(host: str) -> str:
    """A host, with what follows it, in which a bare IPv6 address has got the brackets that a URL wants.

    :param host: ``dinky``, ``::1``, ``2001:db8::1/dinky``, ``[::1]:8888``, ``http://dinky`` ...
    :raises AddressError: the colons may be read in two ways, or in none.
    """
    scheme, sign, rest = host.rpartition("://")
    authority, slash, path = rest.partition("/")
    if authority.count(":") < 2 or authority.startswith("[") or "@" in authority:
        return host
    address, _, last = authority.rpartition(":")
    if not _is_ipv6(authority):
        raise AddressError("has several colons, but is no IPv6 address; put an IPv6 address into brackets")
    if last.isdigit() and len(last) >= 4 and _is_ipv6(address):
        raise AddressError(
            f"may be an IPv6 address or one with port {last}: put the address into brackets, and a port into its field"
        )
    return f"{scheme}{sign}[{authority}]{slash}{path}"


def normal_host(name: str) -> str:
    """A host name or address, without brackets, in its one spelling.

    :raises AddressError: it is none, or could be two.
    """
    if "%" in name and ":" in name:
        raise AddressError(
            "names the network interface of an IPv6 address (%...), which not every HTTP library understands; use an "
            "address without"
        )
    if ":" in name:
        try:
            return str(IPv6Address(name))
        except ValueError:
            raise AddressError("is not a host name: an IPv6 address of it cannot be read") from None
    if _LOOKS_LIKE_IPV4.fullmatch(name):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise AddressError("looks like an IPv4 address, but is not four numbers from 0 to 255") from None
    return name.lower()


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, so that two spellings of one server are equal.

    :raises ValueError: it is no absolute URL.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if not parts.hostname:
        raise AddressError("is missing")
    host = normal_host(parts.hostname).rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode()
    return scheme, host, parts.port or _DEFAULT_PORTS.get(scheme, 0)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True
