from __future__ import annotations

import uuid

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from include.data.feature_store import client
from include.database import migrate
from include.database.ledger import Entry, append
from include.database.ledger_chain import chain_faults, read_chain
from include.database.owner import can_alter_ledger, separate_owner
from include.database.tables import connect
from include.modeling.tuning import study
from include.stack.embedded.postgres import SUPERUSER, ensure_databases
from tests.conftest import PASSWORD


@pytest.fixture
def role(postgres):
    name = f"writer_{uuid.uuid4().hex[:8]}"
    ensure_databases(postgres.admin, {name: "secret"})
    return name


@pytest.fixture
def writer(postgres, role):
    engine = connect(postgres.server.url(role, role, "secret"))
    yield engine
    engine.dispose()


@pytest.fixture
def admin(postgres, role):
    engine = connect(postgres.server.url(role, SUPERUSER, PASSWORD))
    yield engine
    engine.dispose()


def upgrade_to(engine, revision):
    config = Config()
    config.set_main_option("script_location", str(migrate.Path(migrate.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def write(engine, reason):
    with engine.begin() as connection:
        append(connection, Entry("model", "decided", "ann", reason))


def reasons_and_faults(engine):
    with engine.connect() as connection:
        entries = read_chain(connection, "model")
    return [entry.values["reason"] for entry in entries], chain_faults(entries)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET reason = 'better'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "DROP TABLE ledger",
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "ALTER TABLE ledger ADD COLUMN more int",
        "DROP TRIGGER ledger_is_chained ON ledger",
        "DROP FUNCTION chain_ledger_entry() CASCADE",
        "DROP SCHEMA public CASCADE",
        "SET session_replication_role = replica",
    ],
)
def test_writing_role_can_only_append(admin, writer, role, statement):
    migrate.upgrade_as_admin(admin, role)
    write(writer, "too slow")
    with pytest.raises(DBAPIError, match=r"must be owner|permission denied"), writer.begin() as connection:
        connection.execute(text(statement))
    assert reasons_and_faults(writer) == (["too slow"], [])


def test_function_of_the_writing_role_never_runs_as_owner(admin, writer, role):
    migrate.upgrade_as_admin(admin, role)
    with writer.begin() as connection:
        connection.execute(text(
            "CREATE FUNCTION hashtextextended(text, int) RETURNS bigint LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'taken over by %', current_user; END $$"
        ))  # fmt: skip
    write(writer, "too slow")
    assert reasons_and_faults(writer) == (["too slow"], [])


def test_chosen_id_of_an_entry_is_replaced(admin, writer, role):
    migrate.upgrade_as_admin(admin, role)
    with writer.begin() as connection:
        connection.execute(text(
            "INSERT INTO ledger (id, use_case, event, actor, reason) OVERRIDING SYSTEM VALUE "
            "VALUES (9000000000000000000, 'model', 'decided', 'ann', 'first')"
        ))  # fmt: skip
    for reason in ("second", "third"):
        write(writer, reason)
    assert reasons_and_faults(writer) == (["first", "second", "third"], [])


def test_writing_role_uses_and_creates_other_tables(admin, writer, role):
    migrate.upgrade_as_admin(admin, role)
    with writer.begin() as connection:
        assert not can_alter_ledger(connection)
        connection.execute(text("DELETE FROM inference_log"))
        connection.execute(text("CREATE TABLE online_features (id int)"))
        # As Feast does at the first materialisation.
        connection.execute(text(f"CREATE SCHEMA feast AUTHORIZATION {role}"))
    migrate.upgrade_as_admin(admin, role)
    with writer.begin() as connection:
        connection.execute(text("DROP TABLE online_features"))
        connection.execute(text("CREATE TABLE feast.online (id int)"))
        connection.execute(text("ALTER TABLE inference_log ADD COLUMN more int"))


def test_existing_entries_get_hashes_and_a_new_owner(admin, writer, role):
    upgrade_to(writer, "0007")
    with writer.begin() as connection:
        insert = "INSERT INTO ledger (use_case, event, actor, reason, evidence) VALUES "
        for reason in ("first", "second"):
            connection.execute(text(f"{insert} ('model', 'decided', 'ann', '{reason}', '{{\"a\": 1.50}}')"))
        connection.execute(text(f"{insert} ('other', 'decided', 'ann', 'apart', '{{}}')"))
        assert can_alter_ledger(connection)
    migrate.upgrade_as_admin(admin, role)
    write(writer, "third")
    assert reasons_and_faults(writer) == (["first", "second", "third"], [])


def test_writer_opens_the_feature_store_and_a_study(admin, writer, role):
    separate_owner(admin, role)
    with client.open_store(writer.url):
        pass
    with writer.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {study.SCHEMA}"))
