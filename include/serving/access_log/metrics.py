"""Prometheus metrics of what callers of the gateway got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, write_to_textfile

if TYPE_CHECKING:
    from pathlib import Path

PREDICTIONS = "invocations"
# Statuses that callers get if a model server or the gateway fails.
FIRST_FAILURE = 500

REQUESTS = Counter(
    "airworthy_gateway_requests",
    "Requests by the version that answered, status and end",
    ["use_case", "version", "endpoint", "status", "termination"],
)
SECONDS = Histogram(
    "airworthy_gateway_request_seconds",
    "Time from the last byte of a request to the first byte of its response, with all attempts",
    ["use_case", "version"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
FAILED_FIRST_ATTEMPTS = Counter(
    "airworthy_gateway_failed_first_attempts",
    "Requests that the version which was asked first did not answer, whoever answered then",
    ["use_case", "version"],
)
GARBLED = Counter("airworthy_gateway_log_lines_garbled", "Lines of the access log that could not be read")
# A gauge, since HAProxy counts from its start on.
DROPPED = Gauge("airworthy_gateway_log_lines_dropped", "Lines of the access log that HAProxy dropped")
LAST_READ = Gauge("airworthy_gateway_log_read_timestamp_seconds", "When the access log was read last")


def count_row(row: dict[str, Any]) -> None:
    """Count one row of the access log."""
    # The name of a model that does not exist is the caller's invention.
    use_case = row["use_case"] if row["champion"] is not None else ""
    version = "" if row["version"] is None else str(row["version"])
    endpoint = row["endpoint"]
    REQUESTS.labels(use_case, version, endpoint, str(row["status"]), row["termination"]).inc()
    if endpoint != PREDICTIONS or row["first_version"] is None:
        return
    SECONDS.labels(use_case, version).observe(row["latency_ms"] / 1000)
    failures = FAILED_FIRST_ATTEMPTS.labels(use_case, str(row["first_version"]))
    if is_failed_first_attempt(row):
        failures.inc()


def is_failed_first_attempt(row: dict[str, Any]) -> bool:
    """Return whether the version that was asked first did not answer the request."""
    return bool(row["retries"]) or row["status"] >= FIRST_FAILURE


def write(file: Path) -> None:
    """Replace the file with the metrics of this process."""
    write_to_textfile(str(file), REGISTRY)
