"""Storage on a disk and in an object store, as the data tests use it."""

from __future__ import annotations

from tests.include.data.conftest import place, pytest_generate_tests

__all__ = ["place", "pytest_generate_tests"]
