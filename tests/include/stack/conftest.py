from __future__ import annotations

import pytest

from include.stack.settings import Settings
from tests.conftest import free_ports

NAMES = ("airflow_port", "mlflow_port", "gateway_port", "postgres_port", "controller_port", "features_port")


@pytest.fixture
def chosen(tmp_path) -> Settings:
    """Return settings of a home of its own, on ports that are free."""
    return Settings(home=tmp_path / "home", **dict(zip(NAMES, free_ports(len(NAMES)), strict=True)))
