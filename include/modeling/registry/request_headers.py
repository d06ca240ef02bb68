"""Plugins that add headers to the requests of MLflow's client."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from mlflow.utils import plugins

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

REGISTRY = "mlflow.tracking.request_header.registry"


def register_header_plugins() -> None:
    """
    Register the installed plugins for headers, as MLflow does before its first request, but not Feast's.

    Feast takes seconds to import, in each process that uses MLflow. It would send the token of a Kubernetes
    service account; MLflow itself sends `MLFLOW_TRACKING_TOKEN`.
    """
    if REGISTRY in sys.modules:
        return
    find_plugins = plugins.get_entry_points

    def without_feast(group: str) -> list[EntryPoint]:
        return [plugin for plugin in find_plugins(group) if plugin.module.partition(".")[0] != "feast"]

    plugins.get_entry_points = without_feast
    try:
        import_module(REGISTRY)
    finally:
        plugins.get_entry_points = find_plugins
