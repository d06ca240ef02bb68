from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from include.modeling.registry import registry as registries
from include.stack import airflow_api


@pytest.fixture
def away(tmp_path, set_settings):
    """Use an empty lake, and neither a database nor MLflow."""
    set_settings(home=tmp_path, lake_uri=tmp_path / "lake", mlflow_uri="http://127.0.0.1:9")
    return tmp_path


@pytest.fixture
def registry(monkeypatch):
    """Return a double of the registry without versions."""
    registry = create_autospec(registries.Registry, instance=True)
    registry.search_versions.return_value = []
    registry.tags_of.return_value = {}
    monkeypatch.setattr(registries, "Registry", lambda _: registry)
    return registry


@pytest.fixture
def api(monkeypatch):
    """Return the client of Airflow that the commands use."""
    client = create_autospec(airflow_api.AirflowApi, instance=True)
    client.trigger.return_value = "manual__1"
    client.link.return_value = "http://airflow/run"
    monkeypatch.setattr(airflow_api, "AirflowApi", lambda _: client)
    return client
