"""Tests against live Dinky servers; see ``conftest.py`` for what they need."""
