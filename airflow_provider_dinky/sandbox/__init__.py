# SPDX-License-Identifier: Apache-2.0
"""A small Dinky to try things on and to test DAGs against.

``python -m airflow_provider_dinky.sandbox`` starts one; :class:`Sandbox` embeds one; the pytest fixture
``dinky_sandbox`` is in :mod:`.pytest_plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedded import Sandbox
    from .tasks import TaskSpec

__all__ = ["Sandbox", "TaskSpec"]


def __getattr__(name: str) -> Any:
    # Imported only when asked for: pytest loads this package for its plugin even in runs that never use it.
    if name == "Sandbox":
        from .embedded import Sandbox

        return Sandbox
    if name == "TaskSpec":
        from .tasks import TaskSpec

        return TaskSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
