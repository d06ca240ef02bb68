"""The history of a model: its datasets in the order of ingestion, and the partitions that have landed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.data.sources.files import Landing
from include.declarations import FileSource
from include.errors import DataError
from include.settings import settings

if TYPE_CHECKING:
    from include.declarations import Dataset, FeatureView, UseCase
    from include.partitions import Partition


def views_of(use_case: UseCase) -> list[FeatureView]:
    """Return the feature views of a use case and those that they read, each after what it reads."""
    views: dict[str, FeatureView] = {}

    def add(name: str) -> None:
        declared = catalog().feature_views
        if name not in declared or name in views:
            return
        for source in declared[name].sources:
            add(source.dataset)
        views[name] = declared[name]

    for name in use_case.feature_views:
        add(name)
    return list(views.values())


def datasets_of(use_case: UseCase) -> list[Dataset]:
    """Return the datasets of a use case: labels first, so that one run of each view builds all partitions."""
    declared = catalog().datasets
    names = [] if use_case.label.is_absent else [use_case.label.dataset]
    for view in reversed(views_of(use_case)):
        names += [source.dataset for source in view.sources]
    return [declared[name] for name in dict.fromkeys(names) if name in declared]


def landed_partitions(dataset: Dataset) -> list[Partition]:
    """
    Return the partitions of a dataset that have landed; today of one that is read whole.

    Raises
    ------
    DataError
        If there is none, or its source is no file; the message says where it is expected.
    """
    if not isinstance(dataset.source, FileSource):
        raise DataError(
            f"{dataset.name}: its source is no file, and what it holds is not known here. Trigger "
            f"{dataset.name}_ingestion with `first` and `last`."
        )
    landing = Landing(settings().landing_uri)
    candidates = _candidates(dataset)
    absent = set(landing.missing(dataset, candidates))
    landed = [partition for partition in candidates if partition not in absent]
    if not landed:
        expected = landing.location(dataset, candidates[0]) if candidates else settings().landing_uri
        raise DataError(f"{dataset.name}: nothing has landed. Its first file is expected at {expected}")
    return landed


def _candidates(dataset: Dataset) -> list[Partition]:
    now = datetime.now(UTC)
    if dataset.whole:
        return [now.date()]
    first = datetime.combine(dataset.first_partition, time.min, UTC)
    end = now
    if dataset.last_partition is not None:
        last = datetime.combine(dataset.last_partition, time.min, UTC) + timedelta(days=1)
        end = min(end, last)
    partitions = dataset.calendar.overlapping(first, end)
    return [partition for partition in partitions if dataset.availability.due_at(partition) <= now]
