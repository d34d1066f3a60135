# SPDX-License-Identifier: Apache-2.0
"""Rules on Dinky tasks: pure, no I/O."""
