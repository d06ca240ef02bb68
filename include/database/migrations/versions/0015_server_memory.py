"""Record the resident memory of each model server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create `server_memory`."""
    now = sa.func.clock_timestamp()
    op.create_table(
        "server_memory",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("replica", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True, server_default=now),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
