# SPDX-License-Identifier: Apache-2.0
"""Signing in to Dinky: one session a user, tokens issued in the UI, and the tenant that a cookie chooses."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping

from .clock import Clock
from .store import ADMIN

TOKEN_SECONDS = 36_000
"""A sign-in is good for ten hours."""

TENANT = 1
"""The only tenant that the sandbox's user is in."""


class NotSignedIn(Exception):
    """HTTP 401, code 7: the message says what is wrong with the token."""


class LoginRefused(Exception):
    """A wrong user or password: code 7 as well, but with HTTP 200."""


class WrongTenant(Exception):
    """The tenant cookie names a tenant the user is not in: Dinky answers nothing at all and signs out."""


class Sessions:
    """Who is signed in.

    :param users: password by user name.
    """

    def __init__(self, clock: Clock, users: Mapping[str, str], chance: random.Random) -> None:
        self._clock = clock
        self._users = users
        self._chance = chance
        self._expires: dict[str, float] = {}
        self._token_of: dict[int, str] = {}
        self._user_of: dict[str, int] = {}
        self._pushed_out: set[str] = set()
        self._issued: set[str] = set()
        self._issued_before_start: set[str] = set()

    def login(self, username: str, password: str) -> str:
        """Sign in and return the token. The user's earlier sign-in is pushed out."""
        if username not in self._users:
            raise LoginRefused("User Not Exist")
        if self._users[username] != password:
            raise LoginRefused("UserName Or Password Not Correct")
        user = self.user_id(username)
        earlier = self._token_of.get(user)
        if earlier is not None and self._expires.pop(earlier, None) is not None:
            self._pushed_out.add(earlier)
        token = self._new_token(user)
        self._expires[token] = self._clock.now() + TOKEN_SECONDS
        self._token_of[user] = token
        return token

    def user_id(self, username: str) -> int:
        """Return Dinky's id of a user: 1 is its admin's."""
        return ADMIN if username == "admin" else ADMIN + 1

    def user(self, token: str) -> int:
        """Return whose token it is, or raise :class:`NotSignedIn`."""
        if not token:
            raise NotSignedIn("Can Not Read Token")
        if token in self._pushed_out:
            raise NotSignedIn("token has been pushed offline")
        if token not in self._issued_before_start and self._clock.now() >= self._expires.get(token, 0.0):
            raise NotSignedIn("Invalid Token")
        return self._user_of[token]

    def tenant(self, token: str, tenant: str | None) -> int | None:
        """Return the tenant of a request that has passed (None without a tenant cookie), or raise."""
        if tenant and tenant != str(TENANT):
            self.sign_out(token)
            raise WrongTenant(tenant)
        return TENANT if tenant else None

    def sign_out(self, token: str) -> None:
        """Forget a sign-in; an issued token stays good."""
        self._expires.pop(token, None)

    def seconds_left(self, token: str) -> int:
        """Return how long the token is still good; -1 for an issued one, which never ends."""
        if token not in self._expires:
            return -1
        return int(self._expires[token] - self._clock.now())

    def issue(self, user: int = ADMIN) -> str:
        """Issue a token as Dinky's UI does. The server takes it only after its next start, then for good."""
        token = self._new_token(user)
        self._issued.add(token)
        return token

    def restart(self, *, keep_memory: bool) -> None:
        """Forget every sign-in, as a server restart does; keep the issued tokens if the database stays."""
        self._expires.clear()
        self._token_of.clear()
        self._pushed_out.clear()
        if not keep_memory:
            self._issued.clear()
        self._issued_before_start = set(self._issued)

    def _new_token(self, user: int) -> str:
        token = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self._user_of[token] = user
        return token
