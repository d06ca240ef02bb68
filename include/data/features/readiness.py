"""For which days a feature view has everything that it is built from."""

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
    """Days that can be built, and of the others, by day, the partitions that are not there yet."""

    ready: list[date]
    waiting: dict[date, list[str]]


def dependent_days(
    view: FeatureView, dataset: str, days: Collection[date], lake: Lake, *, datasets: Mapping[str, Dataset]
) -> Readiness:
    """
    Return the days of `view` that read these days of `dataset`, by whether all of their inputs are there.

    A day further on that reads back to one of these counts only once it is complete: it is not waited for.
    """
    source, lag = next(each for each in view.sources if each.dataset == dataset), datasets[dataset].lag_days
    later = {reader for day in days for reader in source.readers_of(day, lag_days=lag)}
    there = {source.dataset: set(lake.days(source.dataset)) for source in view.sources}
    lacking = {day: list(_lacking(view, day, there, datasets)) for day in sorted(later)}
    ready = [day for day, missing in lacking.items() if not missing]
    return Readiness(ready, {day: missing for day, missing in lacking.items() if missing and day in days})


def _lacking(
    view: FeatureView, day: date, there: Mapping[str, set[date]], datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    for source in view.sources:
        dataset = datasets[source.dataset]
        for wanted in source.days_of(day, lag_days=dataset.lag_days):
            exists = dataset.first_partition <= wanted <= (dataset.last_partition or date.max)
            if exists and wanted not in there[source.dataset]:
                yield f"{source.dataset} {wanted}"
