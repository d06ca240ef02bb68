"""Rows of the access log for tests that need no gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4


def access_row(**changes: Any) -> dict[str, Any]:
    """Return a request for `delay` that version 1 answered in 5 ms."""
    row = {
        "id": uuid4(), "request_id": "r", "trace_id": None, "use_case": "delay", "endpoint": "invocations",
        "caller": "", "client": "127.0.0.1", "received_at": datetime.now(UTC), "entity_hash": None,
        "champion": 1, "challenger": None, "assigned_version": 1, "eligible": True, "first_version": 1,
        "version": 1, "retries": 0, "redispatched": False, "termination": "--", "status": 200,
        "latency_ms": 5.0, "queue_ms": 0.0, "connect_ms": 0.0, "response_ms": 5.0, "total_ms": 5.0,
        "bytes_in": 300, "bytes_out": 200,
    }  # fmt: skip
    return row | changes
