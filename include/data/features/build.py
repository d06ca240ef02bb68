"""Build the rows of a feature view from its datasets, with the time at which each source was known."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from include.catalog import catalog
from include.data.lake import dtypes
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, ViewSource

    Build = Callable[[Mapping[str, pd.DataFrame], date], pd.DataFrame]


def build_features(
    view: FeatureView,
    module_build: Build,
    lake: Lake,
    days: Collection[date],
    *,
    datasets: Mapping[str, Dataset] | None = None,
) -> pd.DataFrame:
    """
    Build the rows of a feature view for some days.

    Of a dataset that lands `lag_days` late, the newest days are not read, so that past days and the current
    day are built from the same inputs. Each source must be published for every day that is read, except
    before its first and after its last partition.

    Parameters
    ----------
    view
        Declaration of the feature view.
    module_build
        `build(frames, day)` of the declaration's module.
    lake
        Lake with the tables of the view's datasets.
    days
        Days to build.
    datasets
        Declared datasets by name; by default those of the catalogue.

    Returns
    -------
    pandas.DataFrame
        One row per entity and day: `day`, the declared columns, then other columns that `build` returned.

    Raises
    ------
    PartitionMissing
        If a day of a source was never published.
    DataError
        If a value was not known `horizon` before the event.
    """
    declared = datasets if datasets is not None else catalog().datasets
    parts = [
        _build_day(view, module_build, frames, day, declared)
        for day, frames in source_windows(view, lake, days, datasets=declared)
    ]
    rows = pd.concat(parts, ignore_index=True)
    _check_point_in_time(view, rows)
    return rows


def source_windows(
    view: FeatureView, lake: Lake, days: Collection[date], *, datasets: Mapping[str, Dataset]
) -> Iterator[tuple[date, dict[str, pd.DataFrame]]]:
    """
    Yield each day, ascending, with the frame of each dataset that `build` gets for it.

    Raises
    ------
    PartitionMissing
        If a day of a source was never published.
    """
    rows_by_day = {
        source.dataset: _read_by_day(lake, source, datasets[source.dataset], days) for source in view.sources
    }
    for day in sorted(days):
        frames = {}
        for source in view.sources:
            source_days = source.days_of(day, lag_days=datasets[source.dataset].lag_days)
            frames[source.dataset] = _concat_days(rows_by_day[source.dataset], source_days)
        yield day, frames


def known_at(dataset: Dataset, rows: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return when each row became known (n,): its `known_at` column, or partition start plus lag."""
    if dataset.known_at is not None:
        return rows[dataset.known_at]
    starts = rows["day"] if dataset.granularity == "day" else rows["day"] + "T" + rows["hour"]
    return pd.to_datetime(starts, utc=True).dt.as_unit("us") + timedelta(days=dataset.lag_days)


def _build_day(
    view: FeatureView,
    module_build: Build,
    frames: Mapping[str, pd.DataFrame],
    day: date,
    datasets: Mapping[str, Dataset],
) -> pd.DataFrame:
    rows = module_build(frames, day)
    for source in view.sources:
        if source.known_at in rows.columns:
            continue
        dataset = datasets[source.dataset]
        if dataset.known_at is not None or dataset.lag_days or dataset.granularity == "hour":
            raise DataError(
                f"{view.name}: build() returns no column {source.known_at}, so it is not known which rows of "
                f"{source.dataset} were used. Return the time of the newest row that was used, or null, in "
                f"include/features/{view.name}.py."
            )
        newest = known_at(dataset, frames[source.dataset]).max()
        known_times = pd.Series(newest, index=rows.index, dtype="datetime64[us, UTC]")
        rows = rows.assign(**{source.known_at: known_times})
    declared = [column.name for column in view.columns if column.name in rows.columns]
    others = [name for name in rows.columns if name not in declared]
    return rows[[*declared, *others]].assign(day=day.isoformat())


def _read_by_day(
    lake: Lake, source: ViewSource, dataset: Dataset, days: Collection[date]
) -> dict[str, pd.DataFrame]:
    """Return the rows of the source by day; the key "" holds the frame without rows."""
    last = dataset.last_partition or date.max
    source_days: set[date] = set()
    for day in days:
        source_days.update(source.days_of(day, lag_days=dataset.lag_days))
    existing = [day for day in source_days if dataset.first_partition <= day <= last]
    rows = lake.read(dataset.name, existing) if existing else _empty_frame(dataset)
    by_day = {str(day): part for day, part in rows.groupby("day", sort=False)}
    return by_day | {"": rows.iloc[:0]}


def _empty_frame(dataset: Dataset) -> pd.DataFrame:
    """Return a frame without rows in the types of a dataset; its table need not exist."""
    empty = dtypes.to_frame(dtypes.arrow_schema(dataset.columns).empty_table())
    parts = ["day", "hour"] if dataset.granularity == "hour" else ["day"]
    return empty.assign(**dict.fromkeys(parts, pd.Series(dtype=object)))


def _concat_days(by_day: Mapping[str, pd.DataFrame], days: Collection[date]) -> pd.DataFrame:
    parts = [by_day[str(day)] for day in days if str(day) in by_day]
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    return pd.concat(parts or [by_day[""]], ignore_index=True)


def _check_point_in_time(view: FeatureView, rows: pd.DataFrame) -> None:
    for source in view.sources:
        late = rows[rows[source.known_at] > rows[view.time] - view.horizon]
        if late.empty:
            continue
        examples = ", ".join(
            f"{row[view.entity]} (known at {row[source.known_at]}, event at {row[view.time]})"
            for _, row in late.head(3).iterrows()
        )
        raise DataError(
            f"{view.name}: {len(late)} of {len(rows)} rows have features from the future: values of "
            f"{source.dataset} that were not known {view.horizon} before {view.time}: {examples}. "
            f"Correct build() in include/features/{view.name}.py."
        )
