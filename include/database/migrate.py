"""`python -m include.database.migrate`: bring the airworthy database to the newest schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

from include.database.locks import lock_transaction
from include.database.tables import connect
from include.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOCK_KEY = "airworthy/migrations"


def upgrade(engine: Engine) -> None:
    """Apply the migrations that are missing; processes that start at once take turns."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        lock_transaction(connection, LOCK_KEY)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


if __name__ == "__main__":
    url = os.environ.get("AIRWORTHY_DATABASE_URL")
    if not url:
        raise SettingsError("AIRWORTHY_DATABASE_URL is not set: name the PostgreSQL database to migrate.")
    upgrade(connect(url))
