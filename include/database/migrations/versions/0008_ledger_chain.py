"""Chain the entries of the ledger by hashes, one chain per use case, dataset or other name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# The text of an entry that is hashed. Its form is that of `include.database.ledger_chain`.
CONTENT = (
    "jsonb_build_object('id', {row}.id, "
    "'at', to_char({row}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "'use_case', {row}.use_case, 'event', {row}.event, 'version', {row}.version, 'actor', {row}.actor, "
    "'reason', {row}.reason, 'evidence', {row}.evidence, 'dedup_key', {row}.dedup_key)::text"
)
HASH = "encode(sha256(convert_to({previous} || chr(10) || {content}, 'UTF8')), 'hex')"
# The function runs as its owner, so that the writing role needs no right to the sequence. It finds only
# functions of PostgreSQL: one that the writing role made would run as the owner, too.
CHAIN_ENTRY = """
CREATE FUNCTION chain_ledger_entry() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last {schema}.ledger%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('airworthy/ledger/' || NEW.use_case, 0));
    SELECT * INTO last FROM {schema}.ledger WHERE use_case = NEW.use_case ORDER BY id DESC LIMIT 1;
    -- An id that was drawn before the lock, or chosen, may be out of order.
    NEW.id := nextval(pg_get_serial_sequence('{schema}.ledger', 'id'));
    NEW.at := clock_timestamp();
    NEW.previous_hash := coalesce(last.hash, '');
    NEW.hash := {hash};
    RETURN NEW;
END $$
"""
CHAIN_EXISTING = """
DO $$
DECLARE
    entry ledger%ROWTYPE;
    previous text;
BEGIN
    FOR entry IN SELECT * FROM ledger ORDER BY id LOOP
        SELECT hash INTO previous FROM ledger
        WHERE use_case = entry.use_case AND id < entry.id ORDER BY id DESC LIMIT 1;
        previous := coalesce(previous, '');
        UPDATE ledger SET previous_hash = previous, hash = {hash} WHERE id = entry.id;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Add the hashes, give them to the entries that exist, and let a trigger give them to new ones."""
    for name in ("previous_hash", "hash"):
        op.add_column("ledger", sa.Column(name, sa.Text))
    op.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only")
    existing = HASH.format(previous="previous", content=CONTENT.format(row="entry"))
    op.execute(CHAIN_EXISTING.format(hash=existing))
    op.execute("ALTER TABLE ledger ENABLE TRIGGER ledger_is_append_only")
    for name in ("previous_hash", "hash"):
        op.alter_column("ledger", name, nullable=False, server_default="")
    op.create_unique_constraint("ledger_one_successor", "ledger", ["use_case", "previous_hash"])
    new = HASH.format(previous="NEW.previous_hash", content=CONTENT.format(row="NEW"))
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(CHAIN_ENTRY.format(schema=schema, hash=new))
    op.execute(
        "CREATE TRIGGER ledger_is_chained BEFORE INSERT ON ledger "
        "FOR EACH ROW EXECUTE FUNCTION chain_ledger_entry()"
    )
