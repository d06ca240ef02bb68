"""Usage: which views, use cases and labels read a dataset, and which use cases read a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.catalog import Catalog
    from include.declarations import FeatureView, UseCase


def views_of_dataset(declared: Catalog, dataset: str) -> list[str]:
    """Return the feature views that are built from a dataset, or from another view."""
    return [view.name for view in declared.feature_views.values() if dataset in _sources(view)]


def labels_of_dataset(declared: Catalog, dataset: str) -> list[str]:
    """Return the use cases whose label is in a dataset."""
    return [use_case.name for use_case in declared.use_cases.values() if use_case.label.dataset == dataset]


def use_cases_of_view(declared: Catalog, view: str) -> list[str]:
    """Return the use cases whose features come from a view."""
    return [use_case.name for use_case in declared.use_cases.values() if view in views_of_use_case(use_case)]


def use_cases_of_dataset(declared: Catalog, dataset: str) -> list[str]:
    """Return the use cases that read a dataset, as their label or through a view."""
    names = set(labels_of_dataset(declared, dataset))
    for view in views_of_dataset(declared, dataset):
        names |= set(use_cases_of_view(declared, view))
    return sorted(names)


def views_of_use_case(use_case: UseCase) -> list[str]:
    """Return the feature views of a use case."""
    return list(use_case.feature_views)


def datasets_of_use_case(declared: Catalog, use_case: UseCase) -> list[str]:
    """Return the datasets that a use case reads, for its label or through its views."""
    tables = [use_case.label.dataset, *use_case.feature_views]
    datasets: set[str] = set()
    while tables:
        table = tables.pop()
        if table in declared.datasets:
            datasets.add(table)
        elif table in declared.feature_views:
            tables += _sources(declared.feature_views[table])
    return sorted(datasets)


def entity_columns(view: FeatureView) -> list[str]:
    """Return the columns of a view's entity."""
    return list(view.keys)


def _sources(view: FeatureView) -> list[str]:
    return [source.dataset for source in view.sources]
