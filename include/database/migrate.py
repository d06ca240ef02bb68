"""`python -m include.database.migrate`: bring the airworthy database to the newest schema."""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from include.database.tables import connect
from include.errors import SettingsError

LOCK = 0x0A1F_0001  # two processes that migrate at once take turns


def upgrade(engine: Engine) -> None:
    """Apply every migration that is missing, one process at a time."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


if __name__ == "__main__":
    url = os.environ.get("AIRWORTHY_DATABASE_URL")
    if not url:
        raise SettingsError("AIRWORTHY_DATABASE_URL is not set: name the PostgreSQL database to migrate.")
    upgrade(connect(url))
