"""Entries of the catalogue: a dataset, a feature view or a model with its columns, users and freshness."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.data.lake.table_statistics import table_statistics
from include.governance import usage
from include.governance.freshness import FreshnessEntry, read_freshness
from include.governance.model_facts import ModelFacts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.declarations import Column, Dataset, FeatureView


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """Use of a feature by a model: its importance and its drift; None where they are not recorded."""

    feature: str
    model: str
    importance: float | None
    drifted: bool | None


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """A column; `null_share` (0 to 1) is that of the newest partitions, None without statistics."""

    name: str
    dtype: str
    description: str
    personal: bool
    null_share: float | None
    models: tuple[FeatureUse, ...] = ()


@dataclass(frozen=True, slots=True)
class TableEntry:
    """
    A dataset or a feature view.

    Attributes
    ----------
    key : tuple of str
        Key columns of a dataset, entity of a view.
    sources : tuple of str
        Kind of a dataset's source, or the datasets of a view.
    feature_views, labels, use_cases : tuple of str
        Users: views built from it, use cases whose label it is, and all use cases that read it.
    """

    name: str
    owner: str
    description: str
    tags: tuple[str, ...]
    granularity: str
    key: tuple[str, ...]
    sources: tuple[str, ...]
    freshness: FreshnessEntry
    columns: tuple[ColumnEntry, ...]
    feature_views: tuple[str, ...]
    labels: tuple[str, ...]
    use_cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model; without a declaration, only what the database and MLflow have recorded."""

    name: str
    declared: bool
    facts: ModelFacts
    owner: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    task: str = ""
    label: str = ""
    feature_views: tuple[str, ...] = ()
    features: tuple[FeatureUse, ...] = field(default=())


def dataset_entry(declared: Catalog, lake: Lake, name: str, *, now: datetime | None = None) -> TableEntry:
    """Return the entry of a declared dataset."""
    dataset = declared.datasets[name]
    freshness, columns = _describe_table(declared, dataset, lake, {}, now)
    return TableEntry(
        name=name,
        owner=dataset.owner,
        description=dataset.description,
        tags=dataset.tags,
        granularity=dataset.granularity,
        key=dataset.key,
        sources=(dataset.source.kind,),
        freshness=freshness,
        columns=columns,
        feature_views=tuple(usage.views_of_dataset(declared, name)),
        labels=tuple(usage.labels_of_dataset(declared, name)),
        use_cases=tuple(usage.use_cases_of_dataset(declared, name)),
    )


def view_entry(
    declared: Catalog,
    lake: Lake,
    name: str,
    facts: Mapping[str, ModelFacts] | None = None,
    *,
    now: datetime | None = None,
) -> TableEntry:
    """Return the entry of a declared feature view; `facts` of its models add importance and drift."""
    view = declared.feature_views[name]
    models: dict[str, list[FeatureUse]] = {}
    use_cases = usage.use_cases_of_view(declared, name)
    for use_case in use_cases:
        model = (facts or {}).get(use_case, ModelFacts())
        names = declared.use_cases[use_case].features
        columns_of_view = declared.features_of(declared.use_cases[use_case]).columns_of(name, names)
        for feature, column in columns_of_view.items():
            models.setdefault(column, []).append(_feature_use(use_case, feature, model))
    freshness, columns = _describe_table(declared, view, lake, models, now)
    return TableEntry(
        name=name,
        owner=view.owner,
        description=view.description,
        tags=view.tags,
        granularity=view.granularity,
        key=view.keys,
        sources=tuple(source.dataset for source in view.sources),
        freshness=freshness,
        columns=columns,
        feature_views=tuple(usage.views_of_dataset(declared, name)),
        labels=(),
        use_cases=tuple(use_cases),
    )


def model_entry(declared: Catalog, name: str, facts: ModelFacts) -> ModelEntry:
    """Return the entry of a model, whose declaration may be deleted."""
    use_case = declared.use_cases.get(name)
    if use_case is None:
        return ModelEntry(name, declared=False, facts=facts)
    features = sorted(use_case.features, key=lambda feature: -facts.importance.get(feature, 0.0))
    return ModelEntry(
        name=name,
        declared=True,
        facts=facts,
        owner=use_case.owner,
        description=use_case.description,
        tags=use_case.tags,
        task=use_case.task,
        label=f"{use_case.label.dataset}.{use_case.label.column}",
        feature_views=tuple(usage.views_of_use_case(use_case)),
        features=tuple(_feature_use(name, feature, facts) for feature in features),
    )


def _feature_use(model: str, feature: str, facts: ModelFacts) -> FeatureUse:
    return FeatureUse(feature, model, facts.importance.get(feature), facts.drifted.get(feature))


def _describe_table(
    declared: Catalog,
    table: Dataset | FeatureView,
    lake: Lake,
    models: Mapping[str, list[FeatureUse]],
    now: datetime | None,
) -> tuple[FreshnessEntry, tuple[ColumnEntry, ...]]:
    statistics = table_statistics(lake, table.name)
    freshness = read_freshness(declared, lake, table.name, statistics, now=now)
    columns = [
        _column_entry(column, statistics.null_shares.get(column.name), models.get(column.name, ()))
        for column in table.columns
    ]
    return freshness, tuple(columns)


def _column_entry(
    column: Column, null_share: float | None, models: tuple[FeatureUse, ...] | list[FeatureUse]
) -> ColumnEntry:
    return ColumnEntry(
        column.name, column.dtype, column.description, column.personal, null_share, tuple(models)
    )
