"""Log the decisions that were answered, record which days were exported, and count requests by hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column, which is unknown of earlier requests, and create `log_export` and `request_count`."""
    op.add_column("inference_log", sa.Column("decision", JSONB))
    now = sa.func.clock_timestamp()
    op.create_table(
        "log_export",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "request_count",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("status", sa.Integer, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("latency_p50_ms", sa.Double),
        sa.Column("latency_p99_ms", sa.Double),
    )
