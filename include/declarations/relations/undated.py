"""Checks of what reads datasets as they are: views without `build`, and rows without a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations.data.datasets import Dataset
    from include.declarations.data.features import FeatureView, ViewSource
    from include.declarations.use_cases import UseCase


def check_view_sources(view: FeatureView, datasets: Mapping[str, Dataset], *, has_build: bool) -> None:
    """
    Raise DeclarationError if a view needs a time or `build`, or its datasets are not read as it needs.

    Parameters
    ----------
    view
        Feature view, whose datasets exist.
    datasets
        Datasets by name.
    has_build
        Whether its module has a function `build`.
    """
    if view.is_dated and all(datasets[source.dataset].whole for source in view.sources):
        raise DeclarationError(
            f"sources: {view.sources[0].dataset} is read whole and has no dates, so it has no rows of a "
            f"{view.time}; add a dataset with partitions, or remove `time` of the view"
        )
    for source in view.sources:
        dataset = datasets[source.dataset]
        _require_reference(view, source, dataset)
        if not view.is_dated and not dataset.whole:
            raise DeclarationError(
                f"time: {dataset.name} has partitions; declare the column with the time of the event, or "
                f"{dataset.name} as whole=True"
            )
        if not view.is_dated and dataset.key != view.keys:
            raise DeclarationError(
                f"entity: without a time there is one row of each {', '.join(view.keys)}, but {dataset.name} "
                f"has the key {', '.join(dataset.key)}; declare key={view.keys!r}"
            )
    if not has_build:
        _require_columns_as_they_are(view, datasets)


def _require_reference(view: FeatureView, source: ViewSource, dataset: Dataset) -> None:
    """Raise DeclarationError if a source declares what only a reference table has, or the reverse."""
    is_reference = view.is_dated and dataset.whole
    if is_reference and source.lookback:
        raise DeclarationError(
            f"sources: {dataset.name} is read whole and has no partitions to look back to; remove that"
        )
    if not is_reference and source.versions == "newest":
        raise DeclarationError(
            f"sources: {dataset.name} is no reference table, which is a whole dataset in a view with a time; "
            "remove versions"
        )


def check_split(case: UseCase, view: FeatureView) -> None:
    """Raise DeclarationError if the split or the label of a use case does not fit the rows of its view."""
    if view.is_dated and case.split.by == "entity":
        raise DeclarationError(
            f"split: rows of {view.name} have a time, so a random split would train on rows later than those "
            "it is tested on; declare a split by time"
        )
    if view.is_dated:
        return
    if case.split.by == "time":
        raise DeclarationError(
            f"split: rows of {view.name} have no time; declare split=Split(by='entity'), or `time` of the "
            "view"
        )
    source = view.sources[0].dataset
    if case.label.dataset != source and not case.label.is_absent:
        raise DeclarationError(
            f"label.dataset: rows without a time have their label beside them, in {source}; add its column "
            "there"
        )


def _require_columns_as_they_are(view: FeatureView, datasets: Mapping[str, Dataset]) -> None:
    if len(view.sources) > 1:
        raise DeclarationError("build: a view of several datasets needs this function in its file")
    dataset = datasets[view.sources[0].dataset]
    types = {column.name: column.dtype for column in dataset.columns}
    added = {source.known_at for source in view.sources}
    for column in view.columns:
        if column.name not in added and types.get(column.name) != column.dtype:
            raise DeclarationError(
                f"build: {column.name} is no column of type {column.dtype} of {dataset.name}; define this "
                "function in the file of FEATURE_VIEW"
            )
