"""Days for which all inputs of a feature view are published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView


@dataclass(frozen=True, slots=True)
class Readiness:
    """Days that can be built, ascending; and, by day, the missing partitions of those that cannot."""

    ready: list[date]
    waiting: dict[date, list[str]]


def dependent_days(
    view: FeatureView, dataset: str, days: Collection[date], lake: Lake, *, datasets: Mapping[str, Dataset]
) -> Readiness:
    """
    Return the days of `view` that read these days of `dataset`, ready or waiting.

    A later day that only looks back to one of these days is ready once all of its inputs are published; until
    then it is not reported as waiting.
    """
    lag_days = datasets[dataset].lag_days
    source = next(source for source in view.sources if source.dataset == dataset)
    dependent: set[date] = set()
    for day in days:
        dependent.update(source.readers_of(day, lag_days=lag_days))
    published = {source.dataset: set(lake.days(source.dataset)) for source in view.sources}
    missing = {day: list(_missing_inputs(view, day, published, datasets)) for day in sorted(dependent)}
    ready = [day for day, partitions in missing.items() if not partitions]
    waiting = {day: partitions for day, partitions in missing.items() if partitions and day in days}
    return Readiness(ready, waiting)


def _missing_inputs(
    view: FeatureView, day: date, published: Mapping[str, set[date]], datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    for source in view.sources:
        dataset = datasets[source.dataset]
        for source_day in source.days_of(day, lag_days=dataset.lag_days):
            exists = dataset.first_partition <= source_day <= (dataset.last_partition or date.max)
            if exists and source_day not in published[source.dataset]:
                yield f"{source.dataset} {source_day}"
