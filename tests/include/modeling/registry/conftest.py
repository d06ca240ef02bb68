"""The MLflow server of these tests writes artifacts to an object store, that of most others to a folder."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def mlflow_server(mlflow_on_store: str) -> str:
    return mlflow_on_store
