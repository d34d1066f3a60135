# SPDX-License-Identifier: Apache-2.0
"""The user, role and tenant objects in the answers around signing in."""

from __future__ import annotations

from typing import Any

from .versions import DinkyVersion

_SINCE = "2022-12-13 05:27:19"


def tenant(version: DinkyVersion) -> dict[str, Any]:
    """Return the one tenant there is."""
    since = _SINCE.replace(" ", "T") if version.iso_times else _SINCE
    return {
        "id": 1,
        "tenantCode": "DefaultTenant",
        "note": "DefaultTenant",
        "isDelete": False,
        "createTime": since,
        "updateTime": since,
    }


def login(username: str, user_id: int, version: DinkyVersion) -> dict[str, Any]:
    """Return the ``data`` of a sign-in. Like a real server's it holds what looks like a password hash."""
    role = {
        "id": 1,
        "tenantId": 1,
        "roleCode": "SuperAdmin",
        "roleName": "SuperAdmin",
        "isDelete": False,
        "note": "SuperAdmin of Role",
        "createTime": _SINCE,
        "updateTime": _SINCE,
        "tenant": None,
    }
    user = {
        "id": user_id,
        "username": username,
        "password": "0123456789abcdef0123456789abcdef",
        "nickname": "Admin",
        "userType": 1,
        "worknum": "Dinky-001",
        "avatar": None,
        "mobile": "17777777777",
        "enabled": True,
        "isDelete": False,
        "createTime": _SINCE,
        "updateTime": _SINCE,
        "superAdminFlag": True,
        "tenantAdminFlag": None,
    }
    return {
        "user": user,
        "roleList": [role],
        "tenantList": [tenant(version)],
        "menuList": [],
        "currentTenant": None,
        "tokenInfo": token_info(None, -2, version),
    }


def token_info(token: str | None, seconds_left: int, version: DinkyVersion) -> dict[str, Any]:
    """Return what the server knows of a token; the sign-in's own answer does not know it yet."""
    signed_in = token is not None
    return {
        "tokenName": version.token_name,
        "tokenValue": token,
        "isLogin": signed_in,
        "loginId": "1" if signed_in else None,
        "loginType": "random-32",
        "tokenTimeout": seconds_left,
        "sessionTimeout": seconds_left,
        "tokenSessionTimeout": -2,
        "tokenActiveTimeout": -1,
        "loginDevice": "default-device" if signed_in else None,
        "tag": None,
    }
