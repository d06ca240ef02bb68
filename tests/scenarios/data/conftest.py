"""Fixtures of the stories about tables: a lake, and the ingestion and quarantine of cars."""

from __future__ import annotations

from tests.include.conftest import pytest_generate_tests, storage_root
from tests.include.data.conftest import lake, rows
from tests.include.data.quarantine.conftest import entries, frame, ingest, queue

__all__ = ["entries", "frame", "ingest", "lake", "pytest_generate_tests", "queue", "rows", "storage_root"]
