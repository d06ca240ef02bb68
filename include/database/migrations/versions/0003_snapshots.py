"""The table of training snapshots, so that lineage is a query."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table of snapshots."""
    op.create_table(
        "snapshot",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("feature_version", sa.BigInteger, primary_key=True),
        sa.Column("label_version", sa.BigInteger, primary_key=True),
        sa.Column("feature_view", sa.Text, nullable=False),
        sa.Column("label_dataset", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("left_out", JSONB, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("completeness", sa.Double),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    )
