"""Record the age of looked-up features with each prediction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add `feature_age_s` to the table `inference_log`."""
    op.add_column("inference_log", sa.Column("feature_age_s", sa.Double()))
