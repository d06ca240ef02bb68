"""Log the decisions that were answered beside predictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column; the decisions of earlier requests are not known."""
    op.add_column("inference_log", sa.Column("decision", JSONB))
