from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from include.database.migrate import upgrade
from include.database.tables import metadata


def test_migrations_create_exactly_the_declared_tables(database):
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_second_migration_changes_nothing(database):
    upgrade(database)
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
