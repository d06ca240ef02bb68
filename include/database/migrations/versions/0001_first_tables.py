"""The first tables, and the triggers that keep the ledger append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def _time_column(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()
    )


def upgrade() -> None:
    """Create the tables and triggers."""
    _create_states()
    _create_ledger()
    _create_inference_log()
    _create_results()


def _create_states() -> None:
    op.create_table(
        "desired_state",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("champion", sa.Integer),
        sa.Column("previous", sa.Integer),
        sa.Column("challenger", sa.Integer),
        sa.Column("weight", sa.Integer, nullable=False, server_default="0"),
        sa.Column("shadow_share", sa.Double, nullable=False, server_default="0"),
        sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("owner", sa.Text),
        _time_column("updated_at"),
        sa.CheckConstraint("weight BETWEEN 0 AND 10000", "desired_state_weight"),
        sa.CheckConstraint("shadow_share BETWEEN 0 AND 1", "desired_state_shadow_share"),
        sa.CheckConstraint("weight = 0 OR challenger IS NOT NULL", "desired_state_weight_needs_challenger"),
    )
    op.create_table(
        "live_state",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
        _time_column("reported_at"),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _time_column("at"),
        sa.Column("use_case", sa.Text, nullable=False, index=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", JSONB, nullable=False, server_default="{}"),
        sa.Column("dedup_key", sa.Text, unique=True),
    )
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _create_inference_log() -> None:
    op.create_table(
        "inference_log",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("entity_id", sa.Text),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("inputs", JSONB),
        sa.Column("predictions", JSONB),
    )


def _create_results() -> None:
    op.create_table(
        "gate_result",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _time_column("at"),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("results", JSONB, nullable=False),
    )
    op.create_table(
        "monitoring_result",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _time_column("at"),
        sa.Column("use_case", sa.Text, nullable=False, index=True),
        sa.Column("run", sa.Text, nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("figures", JSONB, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
    )
