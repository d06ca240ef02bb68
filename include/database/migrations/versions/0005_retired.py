"""Mark use cases that are not served any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add `retired` to the desired state."""
    op.add_column("desired_state", sa.Column("retired", sa.Boolean, nullable=False, server_default="false"))
