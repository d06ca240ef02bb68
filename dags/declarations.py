"""Report invalid declarations as one import error of Airflow; the other DAGs keep working."""

from __future__ import annotations

from include.catalog import catalog
from include.errors import DeclarationError

if catalog().problems:
    raise DeclarationError("\n".join(f"include/{problem}" for problem in catalog().problems))
