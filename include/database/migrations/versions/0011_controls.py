"""Let people switch a use case off, freeze its releases, and pause or skip a step of a rollout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns to the desired state."""
    op.add_column("desired_state", sa.Column("fallback", JSONB))
    op.add_column("desired_state", sa.Column("frozen", sa.Text))
    op.add_column("desired_state", sa.Column("paused", sa.Boolean, nullable=False, server_default="false"))
    op.add_column("desired_state", sa.Column("skipped", sa.BigInteger))
