"""The record of one request to one version."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from include.serving.model_server.trace_headers import REQUEST_ID, ids_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.inference.predictions import Predictions

Role = Literal["champion", "challenger", "shadow", "replay", "direct"]

# About what a record takes in memory, and each value of its rows.
RECORD_BYTES = 500
# Status in the record of a copy without a response.
NO_RESPONSE = 504
VALUE_BYTES = 60


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request to one version, and its predictions; `inputs` has one dictionary per row.

    `decision` has what was answered for each row, None if the version has no decision rule.
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
    decision: list[Any] | None = None
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


def unanswered_copy(use_case: str, version: int, headers: Mapping[str, str]) -> Record:
    """Return the record of a copy that `version` did not answer, which the sender writes on its behalf."""
    return Record(
        use_case=use_case,
        request_id=headers[REQUEST_ID],
        version=version,
        role="shadow",
        entity_id=headers.get("x-entity-id"),
        received_at=datetime.now(UTC),
        latency_ms=0.0,
        status=NO_RESPONSE,
        inputs=None,
        predictions=None,
        **ids_of(headers),
    )
