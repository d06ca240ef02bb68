"""Completeness of labels: the share of each day's rows whose label has landed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.data.lake.partition_columns import DAY
from include.data.snapshots.counted_days import Completeness, CountedDays
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine

NO_ROWS = Completeness(0, 0, 0)
_ORIGIN = f"{INTERNAL_PREFIX}origin"


def share_landed(days: Iterable[Completeness]) -> float:
    """Return the share of the rows of these days whose label has landed, between 0 and 1."""
    n_landed = 0
    n_rows = 0
    for counts in days:
        n_landed += counts.landed
        n_rows += counts.rows
    return n_landed / n_rows if n_rows else 0.0


def label_completeness(
    use_case: UseCase,
    spine: Spine,
    lake: Lake,
    days: Collection[date],
    *,
    versions: Mapping[str, int] | None = None,
) -> dict[date, Completeness]:
    """
    Return the completeness of the labels of each of `days` that has rows of the spine, by ascending day.

    `versions` are the versions of the tables, by default the newest. Where the label's dataset is the spine,
    each of its rows has landed. A day is counted once, and again when its rows or labels were published anew.
    """
    versions = versions or {}
    published = lake.days(spine.table, version=versions.get(spine.table))
    spine_days = sorted(set(days) & set(published))
    if not spine_days:
        return {}
    counted = CountedDays(use_case, spine, lake, versions)
    counts = counted.read(spine_days)
    new_days = [day for day in spine_days if day not in counts]
    if new_days:
        new_counts = _count_days(use_case, spine, lake, new_days, versions)
        counts |= {day: new_counts.get(day.isoformat(), NO_ROWS) for day in new_days}
        counted.write({day: counts[day] for day in new_days})
    return {day: counts[day] for day in spine_days if counts[day].rows}


def _count_days(
    use_case: UseCase, spine: Spine, lake: Lake, days: Sequence[date], versions: Mapping[str, int]
) -> Mapping[str, Completeness]:
    """Return the completeness of published days of the spine that have rows, by the name of the day."""
    label = use_case.label
    version = versions.get(spine.table)
    if spine.table == label.dataset:
        columns = list(dict.fromkeys([DAY, label.column]))
        rows = lake.read(spine.table, days, version=version, columns=columns)
        return _completeness_by_day(rows.assign(landed=True, labelled=rows[label.column].notna()))
    keys = [DAY, *spine.keys]
    rows = lake.read(spine.table, days, version=version, columns=keys)
    label_version = versions.get(label.dataset)
    with_labels = set(lake.days(label.dataset, version=label_version))
    label_days = [day for day in days if day in with_labels]
    labels = (
        lake.read(label.dataset, label_days, version=label_version, columns=[*keys, label.column])
        if label_days
        else rows.iloc[:0].assign(**{label.column: None})
    )
    return count_labels(rows, labels, spine.keys, label.column)


def count_labels(
    rows: pd.DataFrame, labels: pd.DataFrame, keys: Sequence[str], column: str
) -> Mapping[str, Completeness]:
    """Return the completeness by day of `rows`; a label has the same day and `keys` as its row."""
    landed = labels.drop_duplicates([DAY, *keys])
    joined = rows.merge(landed, on=[DAY, *keys], how="left", indicator=_ORIGIN)
    return _completeness_by_day(
        joined.assign(landed=joined[_ORIGIN] == "both", labelled=joined[column].notna())
    )


def _completeness_by_day(rows: pd.DataFrame) -> Mapping[str, Completeness]:
    counts = rows.groupby(DAY).agg(
        rows=("landed", "size"), landed=("landed", "sum"), labelled=("labelled", "sum")
    )
    return {
        str(day): Completeness(int(row["rows"]), int(row["landed"]), int(row["labelled"]))
        for day, row in counts.iterrows()
    }
