"""Give the records of the inference log an identity of their own: callers may repeat a request id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Replace the primary key of the table `inference_log`, and add the ids of gateway and trace."""
    identity = sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()"))
    op.add_column("inference_log", identity)
    op.add_column("inference_log", sa.Column("gateway_id", sa.Uuid))
    op.add_column("inference_log", sa.Column("trace_id", sa.Text))
    op.drop_constraint("inference_log_pkey", "inference_log")
    op.create_primary_key("inference_log_pkey", "inference_log", ["id"])
    op.create_index("inference_log_request", "inference_log", ["use_case", "request_id"])
    op.create_index("ix_inference_log_gateway_id", "inference_log", ["gateway_id"])
