"""Plugins for the headers of MLflow's requests."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

from mlflow.utils import plugins

from include.modeling.registry.request_headers import REGISTRY, register_header_plugins


class CompanyHeaders:
    """The plugin of a company."""


def test_all_plugins_but_that_of_feast_are_registered(monkeypatch):
    # MLflow keeps the registered plugins in this module, which is restored after the test.
    register_header_plugins()
    monkeypatch.delitem(sys.modules, REGISTRY)
    group = "mlflow.request_header_provider"
    installed = [
        EntryPoint("feast", "feast.infra.data_sources.mlflow.auth:FeastMLflowHeaderProvider", group),
        EntryPoint("company", f"{__name__}:CompanyHeaders", group),
    ]
    monkeypatch.setattr(plugins, "get_entry_points", lambda _: installed)
    register_header_plugins()
    registered = [type(plugin).__name__ for plugin in sys.modules[REGISTRY]._request_header_provider_registry]
    assert registered == ["DatabricksRequestHeaderProvider", "DefaultRequestHeaderProvider", "CompanyHeaders"]
    assert plugins.get_entry_points(group) == installed
