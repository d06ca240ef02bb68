"""Hook of the model registry: from an Airflow connection to MLflow."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseHook

from include.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.modeling.registry.registry import Registry


class ModelRegistryHook(BaseHook):
    """
    Provide the registry of a connection.

    The host of the connection is MLflow's URI; `public_uri` in its extra is the URI for browsers.

    :param mlflow_conn_id: the connection to MLflow
    :param engine: the airworthy database, whose locks prevent that concurrent attempts create an object twice
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"

    def __init__(self, mlflow_conn_id: str = default_conn_name, *, engine: Engine | None = None) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id
        self.engine = engine

    @cached_property
    def uri(self) -> str:
        """URI of MLflow."""
        host = self.get_connection(self.mlflow_conn_id).host
        if not host:
            raise SettingsError(
                f"The connection {self.mlflow_conn_id} has no host. Set its host to the full URI of MLflow."
            )
        return str(host)

    @cached_property
    def registry(self) -> Registry:
        """Registry of runs, models and versions."""
        from include.modeling.registry.registry import Registry

        return Registry(self.uri, self.engine)

    def run_url(self, run_id: str) -> str:
        """Return the URL of a run's page for browsers."""
        return self.url(self.registry.run_route(run_id))

    def version_url(self, model: str, version: int) -> str:
        """Return the URL of a registered version's page for browsers."""
        return self.url(f"models/{quote(model)}/versions/{version}")

    def model_files_url(self, run_id: str, model_id: str) -> str:
        """Return the URL, for browsers, of the files of a model that a run logged."""
        experiment = self.registry.run_route(run_id).partition("/runs/")[0]
        return self.url(f"{experiment}/models/{model_id}/artifacts")

    def url(self, route: str) -> str:
        """Return the URL of a page of MLflow for browsers."""
        public = self.get_connection(self.mlflow_conn_id).extra_dejson.get("public_uri") or self.uri
        return f"{str(public).rstrip('/')}/#/{route}"
