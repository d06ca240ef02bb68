"""The record of one request to one version."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from include.inference.predictions import Predictions

Role = Literal["champion", "challenger", "shadow", "direct"]

# About what a record takes in memory, and each value of its rows.
RECORD_BYTES = 500
VALUE_BYTES = 60


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request to one version, and its predictions; `inputs` has one dictionary per row.

    `feature_age_s` is the age of the oldest feature that was looked up, None if none was. `request_id` is the
    caller's and may repeat. `gateway_id` is the `id` of the request in the access log, `trace_id` that of the
    caller's trace; both are None for requests that did not come through the gateway, whose role is `direct`.
    """

    use_case: str
    request_id: str
    version: int
    role: Role
    entity_id: str | None
    received_at: datetime
    latency_ms: float
    status: int
    inputs: list[dict[str, Any]] | None
    predictions: Predictions | None
    feature_age_s: float | None = None
    gateway_id: str | None = None
    trace_id: str | None = None
    # The identity of the record.
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def approximate_bytes(self) -> int:
        """About the memory that the record takes."""
        rows = self.inputs or []
        return RECORD_BYTES + (len(rows) * len(rows[0]) * VALUE_BYTES if rows else 0)
