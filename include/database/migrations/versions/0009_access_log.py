"""Create the gateway's access log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table `access_log`."""
    op.create_table(
        "access_log",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False, index=True),
        sa.Column("trace_id", sa.Text),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entity_hash", sa.Text),
        sa.Column("champion", sa.Integer),
        sa.Column("challenger", sa.Integer),
        sa.Column("assigned_version", sa.Integer),
        sa.Column("eligible", sa.Boolean, nullable=False),
        sa.Column("first_version", sa.Integer),
        sa.Column("version", sa.Integer),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("redispatched", sa.Boolean, nullable=False),
        sa.Column("termination", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("queue_ms", sa.Double),
        sa.Column("connect_ms", sa.Double),
        sa.Column("response_ms", sa.Double),
        sa.Column("total_ms", sa.Double),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
    )
    op.create_index("access_log_use_case_received_at", "access_log", ["use_case", "received_at"])
