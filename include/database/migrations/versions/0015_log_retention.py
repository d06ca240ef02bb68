"""Record which days of the logs were exported, and count requests by hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the tables `log_export` and `request_count`."""
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
