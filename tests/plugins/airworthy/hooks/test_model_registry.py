from __future__ import annotations

import pytest

from airworthy.hooks.model_registry import ModelRegistryHook
from include.errors import SettingsError


def test_registry_is_that_of_the_connection(connection):
    connection("mlflow_default", conn_type="generic", host="http://mlflow:5000")
    assert ModelRegistryHook().registry.uri == "http://mlflow:5000"


def test_connection_without_a_host_is_refused(connection):
    connection("mlflow_default", conn_type="generic")
    with pytest.raises(SettingsError, match=r"mlflow_default has no host"):
        _ = ModelRegistryHook().uri
