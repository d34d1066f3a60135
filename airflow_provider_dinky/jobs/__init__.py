# SPDX-License-Identifier: Apache-2.0
"""Rules on jobs: pure, no I/O."""
