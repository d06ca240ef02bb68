"""`python -m include.database.migrate`: bring the airworthy database to the newest schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from include.database.locks import lock_transaction
from include.database.owner import protect_ledger, separate_owner
from include.database.tables import connect
from include.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOCK_KEY = "airworthy/migrations"
SUPERUSER = "postgres"


def upgrade(engine: Engine, *, owner: str = "") -> None:
    """
    Apply the migrations that are missing; processes that start at once take turns.

    Parameters
    ----------
    engine
        Engine of a role that may change the schema.
    owner
        Role that owns what is created, if it is another one than that of the engine.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        lock_transaction(connection, LOCK_KEY)
        if owner:
            connection.exec_driver_sql(f'SET LOCAL ROLE "{owner}"')
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def upgrade_as_admin(admin: Engine, role: str) -> None:
    """
    Apply the missing migrations, such that `role` can append to the ledger but not change it.

    Parameters
    ----------
    admin
        Engine of a superuser, connected to the database of `role`.
    role
        Role that the project's processes log in as.
    """
    owner = separate_owner(admin, role)
    upgrade(admin, owner=owner)
    protect_ledger(admin, role, owner)


if __name__ == "__main__":
    url = os.environ.get("AIRWORTHY_DATABASE_URL")
    if not url:
        raise SettingsError("AIRWORTHY_DATABASE_URL is not set: name the PostgreSQL database to migrate.")
    password = os.environ.get("POSTGRES_PASSWORD")
    if password:
        writer = make_url(url)
        admin_url = writer.set(username=SUPERUSER, password=password)
        upgrade_as_admin(connect(admin_url), str(writer.username))
    else:
        upgrade(connect(url))
