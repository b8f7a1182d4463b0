"""Contracts tell what was expected and what came, like any test."""

import pytest

pytest.register_assert_rewrite("resit.testing.executors")
