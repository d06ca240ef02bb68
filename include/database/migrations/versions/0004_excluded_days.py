"""Rename the column of days that a snapshot excludes."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Rename `left_out` of the table `snapshot` to `excluded_days`."""
    op.alter_column("snapshot", "left_out", new_column_name="excluded_days")
