"""Alembic migrations of the airworthy database."""
