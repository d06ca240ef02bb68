"""Record the table versions of the further feature views of a snapshot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add `joined_versions` to the table `snapshot`."""
    op.add_column(
        "snapshot", sa.Column("joined_versions", JSONB, nullable=False, server_default=sa.text("'{}'"))
    )
