"""The catalogue with some columns of `flight_features` declared personal."""

from __future__ import annotations

from include.catalog import Catalog, catalog


def declare_personal(*names: str) -> Catalog:
    declared = catalog()
    view = declared.feature_views["flight_features"]
    columns = tuple(column.model_copy(update={"personal": column.name in names}) for column in view.columns)
    views = {**declared.feature_views, view.name: view.model_copy(update={"columns": columns})}
    return Catalog(declared.datasets, views, declared.use_cases)
