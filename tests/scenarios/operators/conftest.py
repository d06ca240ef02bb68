"""Fixtures of the stories about operators."""

from __future__ import annotations

from tests.plugins.airworthy.conftest import connection, declare_dataset, ingest, supervisor
from tests.plugins.conftest import (
    _certified,
    _environment,
    _tables,
    certified,
    champion,
    context,
    database,
    declare,
    flown,
    follow,
    home,
    lake,
    log_requests,
    registry,
    serve,
    use_case,
)

__all__ = [
    "_certified", "_environment", "_tables", "certified", "champion", "connection", "context", "database",
    "declare", "declare_dataset", "flown", "follow", "home", "ingest", "lake", "log_requests", "registry",
    "serve", "supervisor", "use_case",
]  # fmt: skip
