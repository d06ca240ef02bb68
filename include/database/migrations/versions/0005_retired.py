"""Rename the column of days that a snapshot excludes, and mark use cases that are not served any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    """Rename `left_out` of `snapshot` to `excluded_days`, and add `retired` to the desired state."""
    op.alter_column("snapshot", "left_out", new_column_name="excluded_days")
    op.add_column("desired_state", sa.Column("retired", sa.Boolean, nullable=False, server_default="false"))
