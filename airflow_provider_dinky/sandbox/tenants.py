# SPDX-License-Identifier: Apache-2.0
"""The quirk that makes a Dinky say "Task Not Exist" for a task that exists.

Dinky keeps the tenant of an ``/openapi`` call with the thread that serves it. ``submitTask``,
``getJobInstance``, ``getJobInstanceByTaskId`` and ``getTaskLineage`` set it; ``restartTask``, ``cancel``,
``savepoint``, ``savepointTask`` and ``exportSql`` only use what an earlier call left behind. After a start no
thread has one, and on a server with two tenants a thread may have the other's.
"""

from __future__ import annotations

import random
from enum import Enum


class TenantUse(Enum):
    """What an ``/openapi`` call has to do with the tenant of the thread that serves it."""

    SETS = "sets"
    NEEDS = "needs"
    IGNORES = "ignores"


class Workers:
    """The threads of the server's pool; each call is served by one of them, at random.

    :param quirk: with False every thread always has the right tenant.
    """

    def __init__(self, count: int, chance: random.Random, *, quirk: bool = True) -> None:
        self.quirk = quirk
        self.other_tenant_busy = 0.0
        """How likely it is (0 to 1) that the thread has just served another tenant."""
        self._chance = chance
        self._has_tenant = [False] * count

    def serve(self, use: TenantUse) -> bool:
        """Return whether a call that makes this use of the tenant finds its task."""
        if not self.quirk:
            return True
        worker = self._chance.randrange(len(self._has_tenant))
        if self._chance.random() < self.other_tenant_busy:
            self._has_tenant[worker] = False
        if use is TenantUse.SETS:
            self._has_tenant[worker] = True
        return use is not TenantUse.NEEDS or self._has_tenant[worker]

    def restart(self) -> None:
        """Forget every thread's tenant, as a server start does."""
        self._has_tenant = [False] * len(self._has_tenant)
