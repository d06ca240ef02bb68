"""Reach the MLflow server that an Airflow connection names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from include.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.modeling.registry.registry import Registry


class ModelRegistryHook(BaseHook):
    """
    Turns a connection into the registry: its host is MLflow's URI, `public_uri` in its extra a browser's.

    `engine` reaches the airworthy database, whose locks keep two attempts from creating one thing twice.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"

    def __init__(self, mlflow_conn_id: str = default_conn_name, *, engine: Engine | None = None) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id
        self.engine = engine

    @cached_property
    def uri(self) -> str:
        """MLflow's address."""
        host = self.get_connection(self.mlflow_conn_id).host
        if not host:
            raise SettingsError(f"Connection {self.mlflow_conn_id} has no host: give MLflow's whole URI.")
        return str(host)

    @cached_property
    def registry(self) -> Registry:
        """The runs and versions, built on first use."""
        from include.modeling.registry.registry import Registry

        return Registry(self.uri, self.engine)

    def run_url(self, run_id: str) -> str:
        """Return where people look at a run."""
        return self.url(self.registry.run_route(run_id))

    def url(self, route: str) -> str:
        """Return where people find a page of MLflow."""
        public = self.get_connection(self.mlflow_conn_id).extra_dejson.get("public_uri") or self.uri
        return f"{public}/#/{route}"
