"""Build a feature view's rows from its datasets, and refuse what was not known in time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from include.catalog import catalog
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from include.data.lake import Lake
    from include.declarations import Dataset, FeatureView, Source

    Build = Callable[[Mapping[str, pd.DataFrame], date], pd.DataFrame]

KNOWN_AT = "known_at"


def build(
    view: FeatureView,
    module_build: Build,
    lake: Lake,
    days: Collection[date],
    *,
    datasets: Mapping[str, Dataset] | None = None,
) -> pd.DataFrame:
    """
    Return the rows of `view` for these days, each built from its sources as far as they look back.

    A source has to be there for every day that is read, except before its first and after its last partition.

    :raises PartitionMissing: if a day of a source was never published
    :raises DataError: if a feature was not known `horizon` before the event
    """
    declared = datasets if datasets is not None else catalog().datasets
    sources = {
        source.dataset: _by_day(lake, source, declared[source.dataset], days) for source in view.sources
    }
    parts = []
    for day in sorted(days):
        frames = {
            source.dataset: _window(sources[source.dataset], day, source.lookback_days)
            for source in view.sources
        }
        parts.append(module_build(frames, day).assign(day=day.isoformat()))
    rows = pd.concat(parts, ignore_index=True)
    _were_known(view, rows)
    return rows


def _by_day(lake: Lake, source: Source, dataset: Dataset, days: Collection[date]) -> dict[str, pd.DataFrame]:
    last = dataset.last_partition or date.max
    wanted = {
        day - timedelta(days=back)
        for day in days
        for back in range(min(source.lookback_days, day.toordinal() - 1) + 1)
    }
    rows = lake.read(dataset.name, [day for day in wanted if dataset.first_partition <= day <= last])
    found = {str(day): part for day, part in rows.groupby("day", sort=False)}
    return found | {"": rows.iloc[:0]}


def _window(by_day: Mapping[str, pd.DataFrame], day: date, lookback_days: int) -> pd.DataFrame:
    keys = [(day - timedelta(days=back)).isoformat() for back in range(lookback_days, -1, -1)]
    parts = [by_day[key] for key in keys if key in by_day]
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    return pd.concat(parts or [by_day[""]], ignore_index=True)


def _were_known(view: FeatureView, rows: pd.DataFrame) -> None:
    if KNOWN_AT not in rows.columns:
        return
    late = rows[rows[KNOWN_AT] > rows[view.time] - view.horizon]
    if len(late):
        shown = ", ".join(
            f"{row[view.entity]} (known at {row[KNOWN_AT]}, event at {row[view.time]})"
            for _, row in late.head(3).iterrows()
        )
        raise DataError(
            f"{view.name}: {len(late)} of {len(rows)} rows have features from the future, "
            f"later than {view.horizon} before their {view.time}: {shown}. "
            f"Correct build() in include/features/{view.name}.py."
        )
