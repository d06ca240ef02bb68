"""Lineage for OpenLineage: the datasets that a task read and wrote, with versions and facets of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.openlineage.extractors import OperatorLineage

PRODUCER = "https://github.com/airworthy"
SCHEMA_URL = f"{PRODUCER}/facets/ModelVersionDatasetFacet.json"
MODEL_FACET = "airworthy_model"


@dataclass(frozen=True)
class LineageDataset:
    """
    A table, a landing path or a model that a task read or wrote.

    Attributes
    ----------
    namespace
        Address of what holds it: lake, landing folder, or registry.
    name
        Name within the namespace.
    version
        Version of a Delta table or of a model; empty if it has none.
    model
        Fields of the facet of a model, such as `certified_digest`; empty for data.
    """

    namespace: str
    name: str
    version: str = ""
    model: Mapping[str, str] = field(default_factory=dict)


def lake_table(uri: str, table: str, version: int | None) -> LineageDataset:
    """Return a table of the lake at a version."""
    return LineageDataset(_namespace(uri), table, "" if version is None else str(version))


def model_version(
    use_case: str, version: int, *, digest: str = "", code_version: str = "", run_id: str = ""
) -> LineageDataset:
    """Return a registered version of a model, with the digest that its certificate signs."""
    facet = {"certified_digest": digest, "code_version": code_version, "run_id": run_id}
    return LineageDataset(settings().mlflow_uri, use_case, str(version), facet)


class ReportsLineage:
    """
    Mixin of operators that report what they read and wrote to OpenLineage.

    `execute` calls `report_lineage`. Airflow's provider asks for it at the end of the task, if a transport is
    configured; nothing of OpenLineage is imported before.
    """

    lineage_inputs: tuple[LineageDataset, ...] = ()
    lineage_outputs: tuple[LineageDataset, ...] = ()

    def report_lineage(
        self, *, inputs: tuple[LineageDataset, ...] = (), outputs: tuple[LineageDataset, ...] = ()
    ) -> None:
        """Add datasets to what the task has read and written."""
        self.lineage_inputs = (*self.lineage_inputs, *inputs)
        self.lineage_outputs = (*self.lineage_outputs, *outputs)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Return the lineage of the finished task, as Airflow's provider of OpenLineage takes it."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage(
            inputs=[_as_input(dataset) for dataset in self.lineage_inputs],
            outputs=[_as_output(dataset) for dataset in self.lineage_outputs],
        )


def is_reported() -> bool:
    """Return whether a transport of OpenLineage is configured, so that versions are worth a look-up."""
    from airflow.providers.openlineage import conf

    return not conf.is_disabled()


def _namespace(uri: str) -> str:
    return uri if "://" in uri else f"file://{uri}"


def _as_input(dataset: LineageDataset) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(namespace=dataset.namespace, name=dataset.name, facets=_facets(dataset))


def _as_output(dataset: LineageDataset) -> Any:
    from openlineage.client.event_v2 import OutputDataset

    return OutputDataset(namespace=dataset.namespace, name=dataset.name, facets=_facets(dataset))


def _facets(dataset: LineageDataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    facets: dict[str, Any] = {}
    if dataset.version:
        version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=dataset.version)
        facets["version"] = version
    if dataset.model:
        facets[MODEL_FACET] = _model_facet_type()(version=dataset.version, **dataset.model)
    return facets


@cache
def _model_facet_type() -> Any:
    """Return the class of the facet of a model; OpenLineage is imported first when a task reports one."""
    import attr
    from openlineage.client.facet_v2 import DatasetFacet

    @attr.define
    class ModelVersionDatasetFacet(DatasetFacet):
        """A certified version of a model."""

        version: str
        certified_digest: str
        code_version: str
        run_id: str

        @staticmethod
        def _get_schema() -> str:
            return SCHEMA_URL

    return ModelVersionDatasetFacet
