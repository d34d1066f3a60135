# SPDX-License-Identifier: Apache-2.0
"""A real Flink as the sandbox's engine: real SQL, real state, real savepoints.

:class:`~.runtime.FlinkRuntime` starts one (or uses a running cluster) and gives engines to sandboxes. A sandbox
that simulates its jobs imports nothing of this but :mod:`~.statements`.
"""
