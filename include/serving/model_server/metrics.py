"""Prometheus metrics of a model server; the controller adds the labels use_case and version."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Histogram, generate_latest

REQUESTS = Counter("airworthy_requests", "Requests by role and status", ["role", "status"])
SECONDS = Histogram(
    "airworthy_request_seconds",
    "Time from the last byte of a request to its response",
    ["role"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
BATCH_ROWS = Histogram(
    "airworthy_batch_rows",
    "Rows in one call of the model",
    buckets=(1, 2, 5, 10, 50, 100, 500, 1_000, 10_000),
)
SHADOW_DROPPED = Counter("airworthy_shadow_dropped", "Copies of requests that did not reach the challenger")


def exposition() -> bytes:
    """Return the metrics of this process, with its CPU time and memory, as Prometheus text."""
    return generate_latest(REGISTRY)
