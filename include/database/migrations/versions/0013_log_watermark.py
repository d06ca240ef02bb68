"""Record until when a log is complete."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table `log_watermark`."""
    op.create_table(
        "log_watermark",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("complete_until", sa.DateTime(timezone=True), nullable=False),
    )
