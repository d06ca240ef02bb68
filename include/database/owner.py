"""The owner of the ledger: a role without login, so that the role that writes can only append."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# Appended to the name of the role that writes, which is also the name of its database.
SUFFIX = "_owner"
FUNCTIONS = ("refuse_change()", "chain_ledger_entry()")


def separate_owner(admin: Engine, role: str) -> str:
    """
    Give the database of `role` to an owner that cannot log in, and return the owner's name.

    An owner of a database, of a schema or of a table can drop tables, whatever was granted to others.

    Parameters
    ----------
    admin
        Engine of a superuser, connected to the database of `role`.
    role
        Role that the project's processes log in as; its database has its name.
    """
    owner = f"{role}{SUFFIX}"
    with admin.begin() as connection:
        exists = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
        if not connection.scalar(exists, {"name": owner}):
            connection.exec_driver_sql(f'CREATE ROLE "{owner}" NOLOGIN')
        # A migration may change the tables of the role, too.
        connection.exec_driver_sql(f'GRANT "{role}" TO "{owner}"')
        database = connection.scalar(text("SELECT quote_ident(current_database())"))
        connection.exec_driver_sql(f'ALTER DATABASE {database} OWNER TO "{owner}"')
        # The feature store and the studies of tuning create schemas of their own.
        connection.exec_driver_sql(f'GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO "{role}"')
        connection.exec_driver_sql(f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"')
    return owner


def protect_ledger(admin: Engine, role: str, owner: str) -> None:
    """
    Let `role` only read and append to the ledger; other tables of the owner become those of `role`.

    Parameters
    ----------
    admin
        Engine of a superuser, connected to the migrated database.
    role, owner
        The role that writes, and the owner that `separate_owner` returned.
    """
    with admin.begin() as connection:
        for name in _relations(connection, owner):
            connection.exec_driver_sql(f'ALTER TABLE {name} OWNER TO "{role}"')
        connection.exec_driver_sql(f'ALTER TABLE ledger OWNER TO "{owner}"')
        for function in FUNCTIONS:
            connection.exec_driver_sql(f'ALTER FUNCTION {function} OWNER TO "{owner}"')
        connection.exec_driver_sql(f'REVOKE ALL ON ledger FROM "{role}", PUBLIC')
        connection.exec_driver_sql(f'GRANT SELECT, INSERT ON ledger TO "{role}"')


def can_alter_ledger(connection: Connection) -> bool:
    """Return whether the role of this connection could change the ledger, as its owner or a superuser."""
    query = text(
        "SELECT pg_has_role(current_user, c.relowner, 'USAGE') FROM pg_class c "
        "WHERE c.oid = 'ledger'::regclass"
    )
    return bool(connection.scalar(query))


def _relations(connection: Connection, owner: str) -> list[str]:
    """Return the tables and views of the owner other than the ledger, quoted."""
    query = text(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE r.rolname = :owner AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'ledger'"
    )
    return list(connection.scalars(query, {"owner": owner}))
