"""Prometheus metrics of records on their way to a table of logs."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

WRITTEN = Counter("airworthy_log_records_written", "Records that the database has taken", ["log"])
REJECTED = Counter("airworthy_log_records_rejected", "Records that the database refused, set aside", ["log"])
LOST = Counter("airworthy_log_records_lost", "Records that could not be kept", ["log", "reason"])
SPOOL_BYTES = Gauge("airworthy_log_spool_bytes", "Bytes on disk that the database does not have yet", ["log"])
DATABASE_AWAY = Gauge("airworthy_log_database_away", "1 while the database takes no records", ["log"])
