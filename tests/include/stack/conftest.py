from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from include.settings import Settings
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("airflow_port", "mlflow_port", "gateway_port", "postgres_port", "controller_port", "features_port")


@pytest.fixture
def chosen() -> Iterator[Settings]:
    """Return settings of a home of its own, on ports that are free."""
    with TemporaryDirectory() as folder:  # pytest's own are too long for sockets when workers share the tests
        home = Path(folder) / "home"
        yield Settings(home=home, **dict(zip(NAMES, free_ports(len(NAMES)), strict=True)))
