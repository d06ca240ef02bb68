"""Rows of the logs for tests that need no gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from sqlalchemy.dialects.postgresql import insert

from include.database.tables import access_log, inference_log, log_watermark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

REQUEST_BYTES = 300
ROW_BYTES = 200


def access_row(**changes: Any) -> dict[str, Any]:
    """Return a request for `delay` that version 1 answered in 5 ms."""
    row = {
        "id": uuid4(), "request_id": "r", "trace_id": None, "use_case": "delay", "endpoint": "invocations",
        "caller": "", "client": "127.0.0.1", "received_at": datetime.now(UTC), "entity_hash": None,
        "champion": 1, "challenger": None, "assigned_version": 1, "eligible": True, "first_version": 1,
        "version": 1, "retries": 0, "redispatched": False, "termination": "--", "status": 200,
        "latency_ms": 5.0, "queue_ms": 0.0, "connect_ms": 0.0, "response_ms": 5.0, "total_ms": 5.0,
        "bytes_in": REQUEST_BYTES, "bytes_out": 200,
    }  # fmt: skip
    return row | changes


def gateway_id(record: dict[str, Any]) -> UUID:
    """Return the id that a request to the champion and its copies have; challengers get other requests."""
    group = f"challenger {record['version']}" if record["role"] == "challenger" else "champion"
    return uuid5(NAMESPACE_OID, f"{record['use_case']}/{group}/{record['request_id']}")


def entry_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what HAProxy logs of a request that one version answered, or that another one answered then."""
    version = record["version"]
    copied = ("use_case", "request_id", "received_at", "latency_ms", "status")
    entry = {name: record[name] for name in copied} | {"id": gateway_id(record)}
    entry |= {"assigned_version": version, "first_version": version, "version": version}
    entry["bytes_in"] = REQUEST_BYTES + ROW_BYTES * len(record.get("inputs") or ())
    if record["role"] == "challenger" and not 200 <= record["status"] < 300:
        entry |= {"version": 1, "status": 200, "retries": 1, "redispatched": True}
    return access_row(**entry)


def log_requests(database: Engine, records: Iterable[dict[str, Any]]) -> None:
    """Write records to the inference log, and the requests of callers among them to the access log."""
    rows = [{**record, "gateway_id": gateway_id(record)} for record in records]
    entries = [entry_of(row) for row in rows if row["role"] in {"champion", "challenger"}]
    with database.begin() as connection:
        connection.execute(inference_log.insert(), rows)
        if entries:
            connection.execute(insert(access_log).on_conflict_do_nothing(), entries)
    mark_complete(database)


def mark_complete(database: Engine, until: datetime | None = None) -> None:
    """Let the access log be complete until a moment, by default until tomorrow."""
    values = {"log": "access_log", "complete_until": until or datetime.now(UTC) + timedelta(days=1)}
    statement = insert(log_watermark).values(values)
    with database.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["log"], set_=values))
