"""A view with one row per expectation of each gate."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the view, so that a query of gate results needs no JSON functions."""
    op.execute(
        "CREATE VIEW gate_finding AS "
        "SELECT gate.id AS gate_id, gate.at, gate.subject, gate.run, gate.partition, gate.passed, gate.rows, "
        "finding.expectation, finding.column_name, finding.severity, finding.success, finding.blocking, "
        "finding.failed_rows, finding.message, finding.examples "
        "FROM gate_result AS gate CROSS JOIN LATERAL ("
        "SELECT one->>'expectation' AS expectation, one->>'column' AS column_name, "
        "one->>'severity' AS severity, (one->>'success')::boolean AS success, "
        "coalesce((one->>'blocking')::boolean, false) AS blocking, "
        "(one->>'failed_rows')::bigint AS failed_rows, one->>'message' AS message, "
        "one->'examples' AS examples FROM jsonb_array_elements(gate.results) AS one) AS finding"
    )
