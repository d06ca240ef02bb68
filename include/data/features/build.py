"""Build a feature view's rows from its datasets, each with the moments at which its sources became known."""

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
    Return the rows of `view` for these days, each built from its sources as far as they look back.

    Of a dataset that lands `lag_days` late, the newest days are left out, so that a day is built of the same
    in the past and in service. A source has to be there for every day that is read, except before its first
    and after its last partition.

    :raises PartitionMissing: if a day of a source was never published
    :raises DataError: if a feature was not known `horizon` before the event
    """
    declared = datasets if datasets is not None else catalog().datasets
    parts = [
        _built(view, module_build, frames, day, declared)
        for day, frames in source_windows(view, lake, days, datasets=declared)
    ]
    rows = pd.concat(parts, ignore_index=True)
    _check_point_in_time(view, rows)
    return rows


def source_windows(
    view: FeatureView, lake: Lake, days: Collection[date], *, datasets: Mapping[str, Dataset]
) -> Iterator[tuple[date, dict[str, pd.DataFrame]]]:
    """
    Give each day, oldest first, with what `build` sees of each source on it.

    :raises PartitionMissing: if a day of a source was never published
    """
    found = {source.dataset: _by_day(lake, source, datasets[source.dataset], days) for source in view.sources}
    for day in sorted(days):
        yield (
            day,
            {
                source.dataset: _window(
                    found[source.dataset], source.days_of(day, lag_days=datasets[source.dataset].lag_days)
                )
                for source in view.sources
            },
        )


def known_at(dataset: Dataset, rows: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return when each row of a dataset became known: as it says itself, else when its partition landed."""
    if dataset.known_at is not None:
        return rows[dataset.known_at]
    names = rows["day"] if dataset.granularity == "day" else rows["day"] + "T" + rows["hour"]
    return pd.to_datetime(names, utc=True).dt.as_unit("us") + timedelta(days=dataset.lag_days)


def _built(
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
                f"{view.name}: build() returns no {source.known_at}, and only it knows which rows of "
                f"{source.dataset} it used. Return their newest moment in include/features/{view.name}.py, "
                "null where it used none."
            )
        newest = known_at(dataset, frames[source.dataset]).max()
        moments = pd.Series(newest, index=rows.index, dtype="datetime64[us, UTC]")
        rows = rows.assign(**{source.known_at: moments})
    declared = [column.name for column in view.columns if column.name in rows.columns]
    others = [name for name in rows.columns if name not in declared]
    return rows[[*declared, *others]].assign(day=day.isoformat())


def _by_day(
    lake: Lake, source: ViewSource, dataset: Dataset, days: Collection[date]
) -> dict[str, pd.DataFrame]:
    last = dataset.last_partition or date.max
    wanted = {each for day in days for each in source.days_of(day, lag_days=dataset.lag_days)}
    there = [day for day in wanted if dataset.first_partition <= day <= last]
    rows = lake.read(dataset.name, there) if there else _nothing(dataset)
    found = {str(day): part for day, part in rows.groupby("day", sort=False)}
    return found | {"": rows.iloc[:0]}


def _nothing(dataset: Dataset) -> pd.DataFrame:
    """Return no rows of a dataset, of which there may be no table yet."""
    empty = dtypes.to_frame(dtypes.arrow_schema(dataset.columns).empty_table())
    parts = ["day", "hour"] if dataset.granularity == "hour" else ["day"]
    return empty.assign(**dict.fromkeys(parts, pd.Series(dtype=object)))


def _window(by_day: Mapping[str, pd.DataFrame], days: Collection[date]) -> pd.DataFrame:
    parts = [by_day[str(day)] for day in days if str(day) in by_day]
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    return pd.concat(parts or [by_day[""]], ignore_index=True)


def _check_point_in_time(view: FeatureView, rows: pd.DataFrame) -> None:
    for source in view.sources:
        late = rows[rows[source.known_at] > rows[view.time] - view.horizon]
        if late.empty:
            continue
        shown = ", ".join(
            f"{row[view.entity]} (known at {row[source.known_at]}, event at {row[view.time]})"
            for _, row in late.head(3).iterrows()
        )
        raise DataError(
            f"{view.name}: {len(late)} of {len(rows)} rows have features from the future: values of "
            f"{source.dataset} later than {view.horizon} before their {view.time}: {shown}. "
            f"Correct build() in include/features/{view.name}.py."
        )
